#!/usr/bin/env bash
# Part 11, continued: 95 % fewer SynOps than the dense net, what magnitude pruning takes at 99 % of the
# weights. In part 10 forms that regrow half of each layer had its accuracy there with three quarters of
# its operations. Exploratory; the best form with criticality, by validation data, goes on to part 13.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/synops-95/cells"
ln -sfn "$RUNS/named/cells/.dense" "$RUNS/synops-95/cells/.dense"
spikeprune compare --recipe cifar10.yaml --data_root "$DATA" --select validation --budget synops \
    --methods '[magnitude, criticality-ranked, criticality]' \
    --variants '{
        granet:                      {method: granet-zeroed},
        granet-criticality-previous: {method: granet-zeroed, regrow: criticality, initial_value: previous},
        granet-random-previous:      {method: granet-zeroed, regrow: random, initial_value: previous},
        per-synop-previous-falling:  {method: criticality, criticality.normalise: synops,
                                      initial_value: previous, fraction_schedule: cosine}
    }' \
    --sparsities '[0.95]' --seeds '[0, 1, 2]' --jobs 2 --out "$RUNS/synops-95"
