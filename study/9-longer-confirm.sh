#!/usr/bin/env bash
# Part 9: what part 8 suggested, on other data with fresh seeds: three times the budget of part 5,
# 95 % of the weights, Fashion-MNIST. Its contrasts were named here before any of these runs.
set -euo pipefail
cd "$(dirname "$0")"
spikeprune compare --recipe fashion.yaml \
    --every 180 --epochs.prune 15 --epochs.finetune 9 \
    --methods '[dense, magnitude, criticality-ranked]' \
    --variants '{random-previous-falling: {method: random-regrow, initial_value: previous,
                                           fraction_schedule: cosine}}' \
    --sparsities '[0.95]' --seeds '[300, 301, 302, 303, 304, 305, 306, 307, 308, 309]' \
    --pairs '[[criticality-ranked, magnitude], [criticality-ranked, random-previous-falling]]' \
    --jobs 2 --out "$RUNS/longer-confirm"
