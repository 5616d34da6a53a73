#!/usr/bin/env bash
# Part 3: the methods of Fig. 2 in weights, at equal sparsity and at equal SynOps, three seeds.
# At 95 % the methods of part 1 are there already.
set -euo pipefail
cd "$(dirname "$0")"
common=(--recipe cifar10.yaml --data_root "$DATA" --seeds '[0, 1, 2]' --jobs 2)
for part in fig2-90 fig2-95 fig2-synops; do
    mkdir -p "$RUNS/$part/cells"
    ln -sfn "$RUNS/named/cells/.dense" "$RUNS/$part/cells/.dense"
done
spikeprune compare "${common[@]}" --sparsities '[0.9]' --out "$RUNS/fig2-90" \
    --methods '[magnitude, criticality, random-regrow, gradient-regrow, granet]'
spikeprune compare "${common[@]}" --sparsities '[0.95]' --out "$RUNS/fig2-95" \
    --methods '[gradient-regrow, granet]'
spikeprune compare "${common[@]}" --sparsities '[0.8]' --out "$RUNS/fig2-synops" --variants '{
    magnitude-at-synops:     {method: magnitude, budget: synops},
    criticality-at-synops:   {method: criticality, budget: synops},
    random-regrow-at-synops: {method: random-regrow, budget: synops}}'
