"""Figures of one run's analysis, by section of the page."""

from spikeprune.lab.analysis.output.entropy_figures import entropy_figures
from spikeprune.lab.analysis.output.feature_figures import feature_figures
from spikeprune.lab.analysis.output.sentences import regrowth_sentence
from spikeprune.lab.analysis.output.shapes import change_bars, ratio_bars
from spikeprune.lab.report.plotly_parts import HATCH, Figure, absent, bars, safe, strips
from spikeprune.lab.report.run_record import Row


def run_figures(run: Row, prefix: str) -> dict[str, list[Figure]]:
    """Return the figures of one run by section; their keys begin with `prefix`."""
    nets = run.get("nets") or {}
    return {
        "entropy": [
            figure
            for name, net in nets.items()
            for figure in entropy_figures(net["entropy"], name, prefix)
        ],
        "features": feature_figures(nets, prefix),
        "regrowth": [_regrowth(run["regrowth"], prefix)],
        "change": [
            change_bars(
                run["classes"],
                (f"{prefix}-classes", "Accuracy change per class"),
                "Test accuracy of the pruned net minus that of the dense net, in points.",
            ),
            _synops(run["synops"], prefix),
        ],
    }


def _regrowth(found: Row | None, prefix: str) -> Figure:
    head = (f"{prefix}-regrowth", "Where regrowth went, all events together")
    caption = (
        "Share of all regrown that a layer got, beside its share of what regrowth could reach. "
        "Rows: layers from the image to the output."
    )
    if found is None:
        return absent(*head, caption, "This run brought nothing back.")
    rows, unit = found["layers"], found["unit"]
    names = [row["layer"] for row in rows]
    data = [[safe(row["layer"]), row["regrown"]] for row in rows]
    hover = f"%{{customdata[0]}}<br>%{{x:.1f}} % of the {unit}"
    traces = [
        bars(
            [100 * row["share_of_all"] for row in rows],
            f"of all {unit}",
            "@dense",
            hover=hover,
            data=data,
        ),
        bars(
            [100 * row["share_of_regrown"] for row in rows],
            f"of the regrown {unit}",
            "@regrown",
            hover=f"{hover} regrown (%{{customdata[1]:,}})",
            data=data,
        ),
    ]
    traces[0]["marker"]["pattern"] = HATCH
    summary = regrowth_sentence(found)
    summary = summary[0].upper() + summary[1:]
    return Figure(*head, caption, summary, strips(names, traces, each=30))


def _synops(rows: list[Row], prefix: str) -> Figure:
    head = (f"{prefix}-synops", "SynOps per layer, pruned to dense")
    caption = "Synaptic operations of the pruned net in % of the dense net's; 100: unchanged."
    return ratio_bars(rows, head, caption)
