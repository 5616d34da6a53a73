#!/usr/bin/env bash
# Part 13: the form that was best on validation data under a budget of SynOps (parts 3 and 11), and the
# paper's, on other data with fresh seeds: 80 % fewer SynOps, Fashion-MNIST. Contrasts were named here
# before any of these runs.
set -euo pipefail
cd "$(dirname "$0")"
spikeprune compare --recipe fashion.yaml --budget synops \
    --methods '[dense, magnitude, criticality]' \
    --variants '{
        per-synop-previous-falling: {method: criticality, criticality.normalise: synops,
                                     initial_value: previous, fraction_schedule: cosine},
        random-previous-falling:    {method: random-regrow, initial_value: previous,
                                     fraction_schedule: cosine}}' \
    --sparsities '[0.8]' --seeds '[400, 401, 402, 403, 404, 405, 406, 407, 408, 409]' \
    --pairs '[[per-synop-previous-falling, magnitude],
              [per-synop-previous-falling, random-previous-falling],
              [criticality, magnitude]]' \
    --jobs 2 --out "$RUNS/synops-confirm"
