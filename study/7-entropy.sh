#!/usr/bin/env bash
# Part 7: the paper's explanation, spike entropy against criticality and the firing rate, in the
# untrained, dense and pruned nets of part 1.
set -euo pipefail
for seed in 0 1 2 3 4 5 6 7 8 9; do
    spikeprune analyze "$RUNS/named/cells/cifar10-vgg-small_criticality_0.95_seed$seed" \
        --data_root "$DATA" --samples 2000 --out "$RUNS/entropy/$seed"
done
