#!/usr/bin/env bash
# Part 14: the form with criticality that was best on the validation data of parts 11b and 11c, on other
# data with fresh seeds: 95 % fewer SynOps, Fashion-MNIST. Contrasts were named here before any of these
# runs. The dense nets are those of part 13.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/synops-95-confirm/cells" "$RUNS/synops-confirm/cells/.dense"
ln -sfn "$RUNS/synops-confirm/cells/.dense" "$RUNS/synops-95-confirm/cells/.dense"
spikeprune compare --recipe fashion.yaml --budget synops \
    --methods '[magnitude, criticality-ranked, granet]' \
    --variants '{
        granet-criticality-gradient-per-synop: {method: granet, regrow: criticality,
                        criticality.weight: post*grad, criticality.normalise: synops},
        granet-random: {method: granet, regrow: random}}' \
    --sparsities '[0.95]' --seeds '[400, 401, 402, 403, 404, 405, 406, 407, 408, 409]' \
    --pairs '[[granet-criticality-gradient-per-synop, magnitude],
              [granet-criticality-gradient-per-synop, criticality-ranked],
              [granet-criticality-gradient-per-synop, granet],
              [granet-criticality-gradient-per-synop, granet-random]]' \
    --jobs 2 --out "$RUNS/synops-95-confirm"
