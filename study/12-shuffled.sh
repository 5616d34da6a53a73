#!/usr/bin/env bash
# Part 12: does criticality know which channels to grow? The control deals the scores of a layer to its
# channels at random and keeps all else of the default, ties by |w| included. The seeds, data and dense
# nets of part 5; named before these runs: criticality-ranked - criticality-shuffled.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/shuffled/cells"
ln -sfn "$RUNS/confirm/cells/.dense" "$RUNS/shuffled/cells/.dense"
spikeprune compare --recipe fashion.yaml --methods '[criticality-shuffled]' --sparsities '[0.95]' \
    --seeds '[100, 101, 102, 103, 104, 105, 106, 107, 108, 109]' --jobs 2 --out "$RUNS/shuffled"
