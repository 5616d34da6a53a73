#!/usr/bin/env bash
# Part 10, continued after a look at its first results, in which GraNet does best at 99 %: is it that it
# regrows half of each layer, or the gradient? On validation data; exploratory.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/within-layer/cells"
ln -sfn "$RUNS/named/cells/.dense" "$RUNS/within-layer/cells/.dense"
spikeprune compare --recipe cifar10.yaml --data_root "$DATA" --select validation \
    --variants '{
        granet-criticality:          {method: granet-zeroed, regrow: criticality},
        granet-criticality-previous: {method: granet-zeroed, regrow: criticality, initial_value: previous},
        granet-criticality-gradient: {method: granet-zeroed, regrow: criticality,
                                      criticality.weight: post*grad},
        granet-previous:             {method: granet-zeroed, initial_value: previous},
        granet-random:               {method: granet-zeroed, regrow: random},
        granet-random-previous:      {method: granet-zeroed, regrow: random, initial_value: previous}
    }' \
    --sparsities '[0.99]' --seeds '[0, 1, 2]' --jobs 2 --out "$RUNS/within-layer"
