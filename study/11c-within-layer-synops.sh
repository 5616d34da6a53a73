#!/usr/bin/env bash
# Part 11, continued after a look at 11b, in which the forms that regrow half of each layer are three to
# four points above magnitude pruning: which score does best there? On validation data; exploratory. The
# best form with criticality goes on to part 13.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/synops-95-forms/cells"
ln -sfn "$RUNS/named/cells/.dense" "$RUNS/synops-95-forms/cells/.dense"
spikeprune compare --recipe cifar10.yaml --data_root "$DATA" --select validation --budget synops \
    --variants '{
        granet-criticality-gradient: {method: granet-zeroed, regrow: criticality,
                                      criticality.weight: post*grad},
        granet-criticality-gradient-per-synop: {method: granet-zeroed, regrow: criticality,
                                      criticality.weight: post*grad,
                                      criticality.normalise: synops},
        granet-criticality-per-synop: {method: granet-zeroed, regrow: criticality,
                                      criticality.normalise: synops},
        granet-previous:             {method: granet-zeroed, initial_value: previous}
    }' \
    --sparsities '[0.95]' --seeds '[0, 1, 2]' --jobs 2 --out "$RUNS/synops-95-forms"
