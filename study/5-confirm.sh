#!/usr/bin/env bash
# Part 5: the form that was best on the validation data of part 2, on other data with fresh seeds.
# Its contrasts were named here before any of these runs.
set -euo pipefail
cd "$(dirname "$0")"
spikeprune compare --recipe fashion.yaml \
    --methods '[dense, magnitude, criticality, random-regrow]' \
    --variants '{rank-previous-falling: {method: criticality, criticality.normalise: layer,
                                         initial_value: previous, fraction_schedule: cosine}}' \
    --sparsities '[0.95]' --seeds '[100, 101, 102, 103, 104, 105, 106, 107, 108, 109]' \
    --pairs '[[rank-previous-falling, criticality], [rank-previous-falling, magnitude],
              [rank-previous-falling, random-regrow]]' \
    --jobs 2 --out "$RUNS/confirm"
