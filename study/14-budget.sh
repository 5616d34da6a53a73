#!/usr/bin/env bash
# Part 14, exploratory, on validation data: one ranking of score per SynOp (allocation budget) by every
# score that there is, beside the ERK spread of the same magnitudes, the present default (criticality-erk)
# and one ranking of magnitudes that ignores costs. Three seeds. fp32, because not every processor has
# instructions for bf16; all runs of parts 14 and 15 have the same code, precision and dense nets.
# What is read from it, said beforehand: the best mean validation accuracy at 95 % goes on to 14b; energy
# is reported beside it. spike-effect-shuffled is the control of spike-effect.
set -euo pipefail
cd "$(dirname "$0")"
spikeprune compare --recipe cifar10.yaml --precision fp32 --data_root "$DATA" --select validation \
    --budget synops \
    --methods '[magnitude, criticality-erk, lamp, distortion, wanda, taylor, fisher, spike-effect,
                spike-effect-shuffled]' \
    --variants '{magnitude-erk:    {method: magnitude, allocation: erk},
                 magnitude-budget: {method: magnitude, allocation: budget}}' \
    --sparsities '[0.95, 0.8]' --seeds '[0, 1, 2]' --jobs 2 --out "$RUNS/budget"
