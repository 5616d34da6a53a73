#!/usr/bin/env bash
# Part 11: forms of criticality under a budget of SynOps, beside those of part 3, on validation data;
# the best of them goes on to part 13.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/synops-forms/cells"
ln -sfn "$RUNS/named/cells/.dense" "$RUNS/synops-forms/cells/.dense"
spikeprune compare --recipe cifar10.yaml --data_root "$DATA" --select validation --budget synops \
    --methods '[crisis, firing-rate]' \
    --variants '{
        crisis-regrow:   {method: criticality, regrow: crisis,
                          initial_value: previous, fraction_schedule: cosine},
        critical-size-previous-falling: {method: criticality-magnitude,
                          initial_value: previous, fraction_schedule: cosine},
        mean-previous-falling: {method: criticality, criticality.space: mean,
                          initial_value: previous, fraction_schedule: cosine},
        within-layer-previous-falling: {method: criticality, regrow_within: layer,
                          initial_value: previous, fraction_schedule: cosine},
        per-synop-mean-previous-falling: {method: criticality, criticality.normalise: synops,
                          criticality.space: mean,
                          initial_value: previous, fraction_schedule: cosine}
    }' \
    --sparsities '[0.8]' --seeds '[0, 1, 2]' --jobs 2 --out "$RUNS/synops-forms"
