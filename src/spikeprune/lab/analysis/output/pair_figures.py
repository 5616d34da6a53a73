"""Figures of two runs against each other: overlap, importance, classes, operations."""

from spikeprune.lab.analysis.output.shapes import change_bars, ratio_bars
from spikeprune.lab.report.number_words import percent
from spikeprune.lab.report.plotly_parts import HATCH, Figure, bars, safe, strips
from spikeprune.lab.report.run_record import Row


def pair_figures(pair: Row) -> list[Figure]:
    """Return a figure of every quantity that two runs could be compared by."""
    drawn = []
    if "overlap" in pair:
        drawn.append(_overlap(pair["overlap"]))
    if "importance" in pair:
        drawn.append(_importance(pair["importance"]))
    if "classes" in pair:
        drawn.append(
            change_bars(
                pair["classes"],
                ("pair-classes", "Accuracy per class, B minus A"),
                "Test accuracy of B's pruned net minus that of A's, in points.",
            )
        )
    if "synops" in pair:
        drawn.append(
            ratio_bars(
                pair["synops"],
                ("pair-synops", "SynOps per layer, B to A"),
                "Synaptic operations of B's pruned net in % of A's; 100: the same.",
            )
        )
    return drawn


def _overlap(found: Row) -> Figure:
    unit, rows = found["unit"], found["layers"]
    caption = (
        f"Live {unit} that both runs share over those that either has (Jaccard index, in %), and "
        "what independent masks of the same densities would share."
    )
    data = [[safe(row["layer"]), 100 * row["a_density"], 100 * row["b_density"]] for row in rows]
    hover = (
        "%{customdata[0]}: %{x:.1f} %<br>density A %{customdata[1]:.1f} %, B %{customdata[2]:.1f} %"
    )
    traces = [
        bars([100 * row["overlap"] for row in rows], "shared", "@pruned", hover=hover, data=data),
        bars(
            [100 * row["by_chance"] for row in rows], "by chance", "@dense", hover=hover, data=data
        ),
    ]
    traces[1]["marker"]["pattern"] = HATCH
    whole = found["all"]
    summary = f"In all {percent(whole['overlap'], 1)}; by chance {percent(whole['by_chance'], 1)}."
    spec = strips([row["layer"] for row in rows], traces, each=30)
    return Figure("pair-overlap", "Overlap of the masks", caption, summary, spec)


def _importance(found: Row) -> Figure:
    names = {
        "only_a": "only A kept, in A",
        "only_b": "only B kept, in B",
        "both_in_a": "both kept, in A",
        "both_in_b": "both kept, in B",
    }
    rows = [(words, found[key]) for key, words in names.items()]
    data = [[words, row["channels"]] for words, row in rows]
    hover = "%{customdata[0]}: %{x:.3f}<br>%{customdata[1]:,} channels"
    trace = bars([row["importance"] for _, row in rows], "", "@pruned", hover=hover, data=data)
    trace["marker"]["color"] = ["@pruned", "@regrown", "@faint", "@faint"]
    caption = (
        "Mean importance of channels after fine-tuning: the size of the BatchNorm scale, min-max "
        "over the net, so in [0, 1]."
    )
    only = [f"{words.split(',')[0]} {row['channels']} channels" for words, row in rows[:2]]
    spec = strips([words for words, _ in rows], [trace], title="importance", each=34)
    return Figure(
        "pair-importance", "Importance of the channels", caption, f"{', '.join(only)}.", spec
    )
