#!/usr/bin/env bash
# Part 10: 98 and 99 % of the weights, CIFAR-10, three seeds, exploratory. The dense nets are part 1's.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/high-sparsity/cells"
ln -sfn "$RUNS/named/cells/.dense" "$RUNS/high-sparsity/cells/.dense"
spikeprune compare --recipe cifar10.yaml --data_root "$DATA" \
    --methods '[magnitude, criticality, criticality-ranked]' \
    --variants '{granet: {method: granet-zeroed},
                 random-previous-falling: {method: random-regrow, initial_value: previous,
                                           fraction_schedule: cosine}}' \
    --sparsities '[0.98, 0.99]' --seeds '[0, 1, 2]' --jobs 2 --out "$RUNS/high-sparsity"
