#!/usr/bin/env bash
# Part 3: the methods of Fig. 2 in weights, at equal sparsity and at equal SynOps, three seeds.
# At 95 % the methods of part 1 are there already. Arguments: which of the three to run.
set -euo pipefail
cd "$(dirname "$0")"
run() {
    mkdir -p "$RUNS/$1/cells"
    ln -sfn "$RUNS/named/cells/.dense" "$RUNS/$1/cells/.dense"
    spikeprune compare --recipe cifar10.yaml --data_root "$DATA" --seeds '[0, 1, 2]' --jobs 2 \
        --out "$RUNS/$1" "${@:2}"
}
[ $# -gt 0 ] || set -- fig2-95 fig2-90 fig2-synops
for part; do
    case $part in
        fig2-95) run "$part" --sparsities '[0.95]' --methods '[gradient-regrow]' \
            --variants '{granet: {method: granet-zeroed}}' ;;
        fig2-90) run "$part" --sparsities '[0.9]' \
            --methods '[magnitude, criticality, random-regrow, gradient-regrow]' \
            --variants '{granet: {method: granet-zeroed}}' ;;
        fig2-synops) run "$part" --sparsities '[0.8]' --budget synops \
            --methods '[magnitude, criticality, criticality-ranked, random-regrow,
                        gradient-regrow]' \
            --variants '{
                granet: {method: granet-zeroed},
                per-synop-previous-falling: {method: criticality, criticality.normalise: synops,
                                 initial_value: previous, fraction_schedule: cosine},
                random-previous-falling: {method: random-regrow, initial_value: previous,
                                 fraction_schedule: cosine}}' ;;
    esac
done
