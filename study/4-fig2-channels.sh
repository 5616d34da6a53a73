#!/usr/bin/env bash
# Part 4: the methods of Fig. 2 in channels, at equal channels, MACs and SynOps, three seeds.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p "$RUNS/channels/cells" "$RUNS/channels-cost/cells"
ln -sfn "$RUNS/named/cells/.dense" "$RUNS/channels/cells/.dense"
ln -sfn "$RUNS/named/cells/.dense" "$RUNS/channels-cost/cells/.dense"
common=(--recipe cifar10.yaml --data_root "$DATA" --granularity channel --channels.floor 4
        --criticality.score_on train-set --seeds '[0, 1, 2]' --jobs 2)
spikeprune compare "${common[@]}" --sparsities '[0.5, 0.7]' --out "$RUNS/channels" \
    --methods '[slimming, criticality, random-regrow, sca]'
spikeprune compare "${common[@]}" --sparsities '[0.5]' --out "$RUNS/channels-cost" --variants '{
    slimming-at-macs:        {method: slimming, channels.budget: macs},
    criticality-at-macs:     {method: criticality, channels.budget: macs},
    slimming-at-synops:      {method: slimming, channels.budget: synops},
    criticality-at-synops:   {method: criticality, channels.budget: synops}}'
