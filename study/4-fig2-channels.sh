#!/usr/bin/env bash
# Part 4: the methods of Fig. 2 in channels, at equal channels, MACs and SynOps, three seeds. Half the
# images of the other parts, so the dense nets are others.
set -euo pipefail
cd "$(dirname "$0")"
common=(--recipe cifar10.yaml --data_root "$DATA" --limit 8000 --granularity channel
        --channels.floor 4 --criticality.score_on train-set --seeds '[0, 1, 2]' --jobs 2)
spikeprune compare "${common[@]}" --sparsities '[0.5, 0.7]' --out "$RUNS/channels" \
    --methods '[slimming, criticality, random-regrow]'
mkdir -p "$RUNS/channels-sca/cells"
ln -sfn "$RUNS/channels/cells/.dense" "$RUNS/channels-sca/cells/.dense"
spikeprune compare "${common[@]}" --sparsities '[0.5, 0.7]' --out "$RUNS/channels-sca" \
    --methods '[sca]'
mkdir -p "$RUNS/channels-cost/cells"
ln -sfn "$RUNS/channels/cells/.dense" "$RUNS/channels-cost/cells/.dense"
spikeprune compare "${common[@]}" --sparsities '[0.5]' --out "$RUNS/channels-cost" --variants '{
    slimming-at-macs:        {method: slimming, channels.budget: macs},
    criticality-at-macs:     {method: criticality, channels.budget: macs},
    slimming-at-synops:      {method: slimming, channels.budget: synops},
    criticality-at-synops:   {method: criticality, channels.budget: synops}}'
