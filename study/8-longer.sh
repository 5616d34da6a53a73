#!/usr/bin/env bash
# Part 8: three times the budget of part 1, so that what comes back has 180 steps until the next event
# instead of 60; 95 % of the weights, CIFAR-10. Its contrasts were named here before any of these runs.
set -euo pipefail
cd "$(dirname "$0")"
spikeprune compare --recipe cifar10.yaml --data_root "$DATA" \
    --every 180 --epochs.prune 15 --epochs.finetune 9 \
    --methods '[dense, magnitude, criticality, criticality-ranked]' \
    --variants '{random-previous-falling: {method: random-regrow, initial_value: previous,
                                           fraction_schedule: cosine}}' \
    --sparsities '[0.95]' --seeds '[200, 201, 202, 203, 204]' \
    --pairs '[[criticality, magnitude], [criticality-ranked, magnitude],
              [criticality-ranked, random-previous-falling]]' \
    --jobs 2 --out "$RUNS/longer"
