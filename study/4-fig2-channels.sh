#!/usr/bin/env bash
# Part 4: the methods of Fig. 2 in channels, at equal channels, MACs and SynOps, three seeds. Half the
# images of the other parts, so the dense nets are others. Arguments: which of the three to run.
set -euo pipefail
cd "$(dirname "$0")"
run() {
    mkdir -p "$RUNS/channels/cells/.dense" "$RUNS/$1/cells"
    [ "$1" = channels ] || ln -sfn "$RUNS/channels/cells/.dense" "$RUNS/$1/cells/.dense"
    spikeprune compare --recipe cifar10.yaml --data_root "$DATA" --limit 8000 \
        --granularity channel --channels.floor 4 --criticality.score_on train-set \
        --seeds '[0, 1, 2]' --jobs 2 --out "$RUNS/$1" "${@:2}"
}
all='[slimming, criticality, random-regrow, sca]'
[ $# -gt 0 ] || set -- channels channels-cost channels-synops
for part; do
    case $part in
        channels) run "$part" --sparsities '[0.5, 0.7]' --methods "$all" ;;
        channels-cost) run "$part" --sparsities '[0.5]' --variants '{
            slimming-at-macs:    {method: slimming, channels.budget: macs},
            criticality-at-macs: {method: criticality, channels.budget: macs}}' ;;
        channels-synops) run "$part" --sparsities '[0.5]' --methods "$all" --channels.budget synops ;;
    esac
done
