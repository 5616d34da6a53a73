#!/usr/bin/env bash
# Part 12: does criticality know which channels to grow? The control deals the scores of a layer to its
# channels at random and keeps all else of the default, ties by |w| included. The seeds, data, budgets
# and dense nets of parts 5 and 9; named before these runs: criticality-ranked - criticality-shuffled,
# accuracy and survival, at either budget.
set -euo pipefail
cd "$(dirname "$0")"
run() {
    mkdir -p "$RUNS/$1/cells"
    ln -sfn "$RUNS/$2/cells/.dense" "$RUNS/$1/cells/.dense"
    spikeprune compare --recipe fashion.yaml --methods '[criticality-shuffled]' \
        --sparsities '[0.95]' --jobs 2 --out "$RUNS/$1" "${@:3}"
}
run shuffled confirm --seeds '[100, 101, 102, 103, 104, 105, 106, 107, 108, 109]'
run shuffled-longer longer-confirm --every 180 --epochs.prune 15 --epochs.finetune 9 \
    --seeds '[300, 301, 302, 303, 304, 305, 306, 307, 308, 309]'
