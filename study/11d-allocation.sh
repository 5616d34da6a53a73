#!/usr/bin/env bash
# Part 11, the last look: magnitude pruning at 95 % fewer SynOps leaves four fifths of them to the first
# layer. Is what part 11b sees only another share for every layer? The usual remedies, without regrowth.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/synops-95-allocation/cells"
ln -sfn "$RUNS/named/cells/.dense" "$RUNS/synops-95-allocation/cells/.dense"
spikeprune compare --recipe cifar10.yaml --data_root "$DATA" --select validation --budget synops \
    --variants '{magnitude-uniform: {method: magnitude, allocation: uniform},
                 magnitude-erk:     {method: magnitude, allocation: erk}}' \
    --sparsities '[0.95]' --seeds '[0, 1, 2]' --jobs 2 --out "$RUNS/synops-95-allocation"
