#!/usr/bin/env bash
# Part 14, after 14: the same dense nets as teachers (weight 0.7, temperature 2), for the ERK spread, for
# lamp per SynOp and for the best score of part 14 (SCORE), without and with a penalty on firing or on
# SynOps. Exploratory, on validation data. The best goes on to part 15, on other data and fresh seeds.
set -euo pipefail
cd "$(dirname "$0")"
SCORE=${SCORE:?the best score of part 14}
mkdir -p "$RUNS/budget-teacher/cells"
ln -sfn "$RUNS/budget/cells/.dense" "$RUNS/budget-teacher/cells/.dense"
spikeprune compare --recipe cifar10.yaml --precision fp32 --data_root "$DATA" --select validation \
    --budget synops --teacher.weight 0.7 --teacher.temperature 2 \
    --methods '[criticality-erk, lamp]' \
    --variants "{magnitude-erk: {method: magnitude, allocation: erk},
                 best:          {method: $SCORE},
                 best-rate:     {method: $SCORE, rate_penalty: 0.1},
                 best-synops:   {method: $SCORE, synops_penalty: 0.1},
                 lamp-rate:     {method: lamp, rate_penalty: 0.1},
                 lamp-synops:   {method: lamp, synops_penalty: 0.1}}" \
    --sparsities '[0.95]' --seeds '[0, 1, 2]' --jobs 2 --out "$RUNS/budget-teacher"
