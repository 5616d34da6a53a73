#!/usr/bin/env bash
# Part 11, continued: the ERK allocation at 80 % fewer SynOps, and at equal sparsity. Exploratory.
set -euo pipefail
cd "$(dirname "$0")"
run() {
    mkdir -p "$RUNS/$1/cells"
    ln -sfn "$RUNS/named/cells/.dense" "$RUNS/$1/cells/.dense"
    spikeprune compare --recipe cifar10.yaml --data_root "$DATA" --select validation \
        --allocation erk --seeds '[0, 1, 2]' --jobs 2 --out "$RUNS/$1" "${@:2}"
}
run synops-80-erk --budget synops --sparsities '[0.8]' \
    --variants '{magnitude-erk: {method: magnitude}, ranked-erk: {method: criticality-ranked}}'
run weights-erk --sparsities '[0.95, 0.99]' --variants '{magnitude-erk: {method: magnitude}}'
