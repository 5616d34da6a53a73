#!/usr/bin/env bash
# Part 1: the contrast named before any run: 95 % of the weights, CIFAR-10, ten paired seeds.
# DATA names the folder that holds CIFAR-10; RUNS takes the run folders.
set -euo pipefail
cd "$(dirname "$0")"
spikeprune compare --recipe cifar10.yaml --data_root "$DATA" \
    --methods '[dense, magnitude, criticality, random-regrow]' \
    --sparsities '[0.95]' --seeds '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]' \
    --pairs '[[criticality, magnitude], [criticality, random-regrow]]' \
    --jobs 2 --out "$RUNS/named"
