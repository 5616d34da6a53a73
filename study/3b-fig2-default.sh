#!/usr/bin/env bash
# Part 3, continued: the default and its random control at 90 and 95 %, where part 3 had the others.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/fig2-default/cells"
ln -sfn "$RUNS/named/cells/.dense" "$RUNS/fig2-default/cells/.dense"
spikeprune compare --recipe cifar10.yaml --data_root "$DATA" --methods '[criticality-ranked]' \
    --variants '{random-previous-falling: {method: random-regrow, initial_value: previous,
                                           fraction_schedule: cosine}}' \
    --sparsities '[0.9, 0.95]' --seeds '[0, 1, 2]' --jobs 2 --out "$RUNS/fig2-default"
