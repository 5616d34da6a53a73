#!/usr/bin/env bash
# Part 11, after a look at 11d, in which magnitude pruning by the ERK allocation is eight points above
# that of the whole net: regrowth with that allocation. On validation data; exploratory. The best form
# with criticality of all of part 11 goes on to part 13.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/synops-95-erk/cells"
ln -sfn "$RUNS/named/cells/.dense" "$RUNS/synops-95-erk/cells/.dense"
spikeprune compare --recipe cifar10.yaml --data_root "$DATA" --select validation --budget synops \
    --allocation erk \
    --variants '{
        ranked-erk:                  {method: criticality-ranked},
        random-previous-falling-erk: {method: random-regrow, initial_value: previous,
                                      fraction_schedule: cosine},
        granet-criticality-gradient-per-synop-erk: {method: granet-zeroed, regrow: criticality,
                                      criticality.weight: post*grad,
                                      criticality.normalise: synops},
        granet-erk:                  {method: granet-zeroed}
    }' \
    --sparsities '[0.95]' --seeds '[0, 1, 2]' --jobs 2 --out "$RUNS/synops-95-erk"
