#!/usr/bin/env bash
# Part 2: one option of the criticality score at a time, on validation data; 95 % of the weights,
# CIFAR-10. The paper's form, magnitude and random regrowth are those of part 1.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/ablation/cells"
ln -sfn "$RUNS/named/cells/.dense" "$RUNS/ablation/cells/.dense"  # the dense nets of part 1
spikeprune compare --recipe cifar10.yaml --data_root "$DATA" --select validation \
    --variants '{
        primitive:  {method: criticality, criticality.value: primitive},
        mean:       {method: criticality, criticality.space: mean},
        rank:       {method: criticality, criticality.normalise: layer},
        per-synop:  {method: criticality, criticality.normalise: synops},
        post*pre:   {method: criticality, criticality.weight: post*pre},
        post*grad:  {method: criticality, criticality.weight: post*grad},
        r-0.05:     {method: criticality, regrow_fraction: 0.05},
        r-0.4:      {method: criticality, regrow_fraction: 0.4},
        r-falling:  {method: criticality, fraction_schedule: cosine},
        batches-8:  {method: criticality, criticality.batches: 8},
        previous:   {method: criticality, initial_value: previous}
    }' \
    --sparsities '[0.95]' --seeds '[0, 1]' --jobs 2 --out "$RUNS/ablation"
