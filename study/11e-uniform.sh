#!/usr/bin/env bash
# Part 11, after a look at 11d, in which magnitude pruning of the same share of every layer is six points
# above that of the whole net: regrowth with that allocation. On validation data; exploratory. The best
# form with criticality of all of part 11 goes on to part 14.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/synops-95-uniform/cells"
ln -sfn "$RUNS/named/cells/.dense" "$RUNS/synops-95-uniform/cells/.dense"
spikeprune compare --recipe cifar10.yaml --data_root "$DATA" --select validation --budget synops \
    --allocation uniform \
    --variants '{
        ranked-uniform:  {method: criticality-ranked},
        random-previous-falling-uniform: {method: random-regrow, initial_value: previous,
                          fraction_schedule: cosine},
        granet-criticality-gradient-per-synop-uniform: {method: granet, regrow: criticality,
                          criticality.weight: post*grad, criticality.normalise: synops},
        granet-uniform:  {method: granet}
    }' \
    --sparsities '[0.95]' --seeds '[0, 1, 2]' --jobs 2 --out "$RUNS/synops-95-uniform"
