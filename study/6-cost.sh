#!/usr/bin/env bash
# Part 6: what iterative magnitude pruning with rewinding costs, at equal total epochs and at its own
# budget; Fashion-MNIST, seeds of part 5.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/cost/cells"
ln -sfn "$RUNS/confirm/cells/.dense" "$RUNS/cost/cells/.dense"
spikeprune compare --recipe fashion.yaml --sparsities '[0.95]' --seeds '[100, 101, 102]' \
    --variants '{
        imp-equal: {method: imp, imp.budget: equal, imp.rounds: 3},
        imp-own:   {method: imp, imp.budget: own}}' \
    --jobs 2 --out "$RUNS/cost"
