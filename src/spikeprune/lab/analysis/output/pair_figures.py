"""Figures of two runs: overlap of masks, importance, accuracy per class, SynOps."""

from collections.abc import Callable
from functools import partial
from typing import Any

from spikeprune.lab.analysis.findings import Findings
from spikeprune.lab.analysis.output.shapes import change_bars, ratio_bars
from spikeprune.lab.report.number_words import percent
from spikeprune.lab.report.plotly_parts import Figure, bars, safe, strips


def pair_figures(pair: Findings) -> list[Figure]:
    """Return a figure for each quantity by which two runs could be compared."""
    classes = Figure(
        "pair-classes",
        "Accuracy per class, B minus A",
        "Test accuracy of B's pruned net minus that of A's, in points.",
    )
    synops = Figure(
        "pair-synops",
        "SynOps per layer, B to A",
        "Synaptic operations of B's pruned net in % of A's; 100: equal.",
    )
    draws: dict[str, Callable[[Any], Figure]] = {
        "overlap": _overlap,
        "importance": _importance,
        "classes": partial(change_bars, classes),
        "synops": partial(ratio_bars, synops),
    }
    return [draw(pair[key]) for key, draw in draws.items() if key in pair]


def _overlap(found: Findings) -> Figure:
    rows, whole = found["layers"], found["all"]
    data = [[safe(row["layer"]), 100 * row["a_density"], 100 * row["b_density"]] for row in rows]
    hover = "%{customdata[0]}: %{x:.1f} %<br>"
    hover += "density A %{customdata[1]:.1f} %, B %{customdata[2]:.1f} %"
    shared = [100 * row["overlap"] for row in rows]
    chance = [100 * row["by_chance"] for row in rows]
    traces = [
        bars(shared, "shared", "@pruned", hover=hover, data=data),
        bars(chance, "by chance", "@dense", hover=hover, data=data, hatched=True),
    ]
    return Figure(
        "pair-overlap",
        "Overlap of the masks",
        f"Live {found['unit']} in both runs over those in either (Jaccard index, in %), and its "
        "expectation for independent masks with the same densities.",
        f"In all {percent(whole['overlap'], 1)}; by chance {percent(whole['by_chance'], 1)}.",
        strips([row["layer"] for row in rows], traces, each=30),
    )


def _importance(found: Findings) -> Figure:
    rows = {
        "only A kept, in A": found["only_a"],
        "only B kept, in B": found["only_b"],
        "both kept, in A": found["both_in_a"],
        "both kept, in B": found["both_in_b"],
    }
    data = [[words, row["channels"]] for words, row in rows.items()]
    hover = "%{customdata[0]}: %{x:.3f}<br>%{customdata[1]:,} channels"
    values = [row["importance"] for row in rows.values()]
    trace = bars(values, "", "@pruned", hover=hover, data=data)
    trace["marker"]["color"] = ["@pruned", "@regrown", "@faint", "@faint"]
    only_a, only_b = found["only_a"]["channels"], found["only_b"]["channels"]
    return Figure(
        "pair-importance",
        "Importance of the channels",
        "Mean importance of channels after fine-tuning: the size of the BatchNorm scale, min-max "
        "over the net, so in [0, 1].",
        f"only A kept {only_a} channels, only B kept {only_b} channels.",
        strips(list(rows), [trace], title="importance", each=34),
    )
