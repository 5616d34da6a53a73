#!/usr/bin/env bash
# Part 5, continued after a look at its result: is it criticality, or the falling share and the kept
# values? Random regrowth with both, on the same seeds; exploratory.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/control/cells"
ln -sfn "$RUNS/confirm/cells/.dense" "$RUNS/control/cells/.dense"
spikeprune compare --recipe fashion.yaml \
    --variants '{random-previous-falling: {method: random-regrow, initial_value: previous,
                                           fraction_schedule: cosine}}' \
    --sparsities '[0.95]' --seeds '[100, 101, 102, 103, 104, 105, 106, 107, 108, 109]' \
    --jobs 2 --out "$RUNS/control"
