#!/usr/bin/env bash
# Part 13: the form with criticality that was best on the validation data of part 11, on other data with
# fresh seeds: 95 % fewer SynOps, Fashion-MNIST. Contrasts were named here before any of these runs.
# Rule, as in part 5: if the interval against the present default (criticality-ranked) excludes 0, the
# form becomes the default under a budget of SynOps.
set -euo pipefail
cd "$(dirname "$0")"
spikeprune compare --recipe fashion.yaml --budget synops \
    --methods '[dense, magnitude, criticality-ranked]' \
    --variants '{
        ranked-erk:    {method: criticality-ranked, allocation: erk},
        magnitude-erk: {method: magnitude, allocation: erk},
        random-previous-falling-erk: {method: random-regrow, allocation: erk,
                                      initial_value: previous, fraction_schedule: cosine}}' \
    --sparsities '[0.95]' --seeds '[400, 401, 402, 403, 404, 405, 406, 407, 408, 409]' \
    --pairs '[[ranked-erk, criticality-ranked], [ranked-erk, magnitude],
              [ranked-erk, magnitude-erk], [ranked-erk, random-previous-falling-erk]]' \
    --jobs 2 --out "$RUNS/synops-confirm"
