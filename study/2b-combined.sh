#!/usr/bin/env bash
# Part 2, continued after a look at its first results: options together, criticality in the saliency
# instead of regrowth, and rarer events; on validation data.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/combined/cells"
ln -sfn "$RUNS/named/cells/.dense" "$RUNS/combined/cells/.dense"
spikeprune compare --recipe cifar10.yaml --data_root "$DATA" --select validation \
    --variants '{
        critical-size-previous: {method: criticality-magnitude, initial_value: previous},
        rank-previous-falling:  {method: criticality, criticality.normalise: layer,
                                 initial_value: previous, fraction_schedule: cosine},
        per-synop-previous-falling: {method: criticality, criticality.normalise: synops,
                                 initial_value: previous, fraction_schedule: cosine},
        saliency:               {method: magnitude, saliency: criticality-magnitude},
        saliency-rank:          {method: magnitude, saliency: criticality-magnitude,
                                 criticality.normalise: layer},
        paper-every-150:        {method: criticality, every: 150},
        magnitude-every-150:    {method: magnitude, every: 150}
    }' \
    --sparsities '[0.95]' --seeds '[0, 1]' --jobs 2 --out "$RUNS/combined"
