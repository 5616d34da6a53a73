"""Figures of one run's analysis, by section of the page."""

from dataclasses import replace

from spikeprune.lab.analysis.findings import Findings
from spikeprune.lab.analysis.output.entropy_figures import entropy_figures
from spikeprune.lab.analysis.output.feature_figures import feature_figures
from spikeprune.lab.analysis.output.sentences import regrowth_sentence
from spikeprune.lab.analysis.output.shapes import change_bars, ratio_bars
from spikeprune.lab.report.plotly_parts import Figure, bars, safe, strips


def run_figures(run: Findings, prefix: str) -> dict[str, list[Figure]]:
    """Return the figures of one run by section; their keys begin with `prefix`."""
    nets = run.get("nets") or {}
    classes = Figure(
        f"{prefix}-classes",
        "Accuracy change per class",
        "Test accuracy of the pruned net minus that of the dense net, in points.",
    )
    synops = Figure(
        f"{prefix}-synops",
        "SynOps per layer, pruned to dense",
        "Synaptic operations of the pruned net in % of the dense net's; 100: unchanged.",
    )
    return {
        "entropy": [
            figure
            for name, net in nets.items()
            for figure in entropy_figures(net["entropy"], name, prefix)
        ],
        "features": feature_figures(nets, prefix),
        "regrowth": [_regrowth(run["regrowth"], prefix)],
        "change": [change_bars(classes, run["classes"]), ratio_bars(synops, run["synops"])],
    }


def _regrowth(found: Findings | None, prefix: str) -> Figure:
    figure = Figure(
        f"{prefix}-regrowth",
        "Where regrowth went, all events together",
        "Share of all regrowth that a layer got, beside its share of the layers that regrowth "
        "can reach. Rows: layers from the image to the output.",
    )
    if found is None:
        return replace(figure, reason="This run brought nothing back.")
    rows, unit = found["layers"], found["unit"]
    data = [[safe(row["layer"]), row["regrown"]] for row in rows]
    hover = f"%{{customdata[0]}}<br>%{{x:.1f}} % of the {unit}"
    hover_regrown = f"{hover} regrown (%{{customdata[1]:,}})"
    of_all = [100 * row["share_of_all"] for row in rows]
    of_regrown = [100 * row["share_of_regrown"] for row in rows]
    traces = [
        bars(of_all, f"of all {unit}", "@dense", hover=hover, data=data, hatched=True),
        bars(of_regrown, f"of the regrown {unit}", "@regrown", hover=hover_regrown, data=data),
    ]
    spec = strips([row["layer"] for row in rows], traces, each=30)
    return replace(figure, summary=regrowth_sentence(found), spec=spec)
