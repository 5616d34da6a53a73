"""Figures of features by class: their spread, and the cosine of training and test set."""

from collections.abc import Mapping
from dataclasses import replace

from spikeprune.lab.analysis.findings import Findings
from spikeprune.lab.analysis.output.shapes import MANY_CLASSES
from spikeprune.lab.report.plotly_parts import Figure, Spec, dots, strips

_LOOKS = {
    "untrained": ("@faint", "square"),
    "dense": ("@dense", "circle"),
    "pruned": ("@pruned", "diamond"),
}


def feature_figures(nets: Findings, prefix: str) -> list[Figure]:
    """Return spread and cosine by class of all nets; nothing if nothing was measured."""
    found = {name: net["features"] for name, net in nets.items() if "features" in net}
    if not found:
        return []
    names = [row["class"] for row in next(iter(found.values()))["classes"]]
    omitted = f" The first {MANY_CLASSES} of {len(names)} classes; all are in analysis.json."
    figures = []
    for figure in (_spread(found, names[:MANY_CLASSES]), _cosine(found, names[:MANY_CLASSES])):
        caption = figure.caption + (omitted if len(names) > MANY_CLASSES else "")
        figures.append(replace(figure, key=f"{prefix}-{figure.key}", caption=caption))
    return figures


def _spread(nets: Mapping[str, Findings], names: list[str]) -> Figure:
    traces, means = [], []
    for net, found in nets.items():
        scale = found["features"]
        traces.append(_marks(found, net, "variance_train", scale=scale))
        traces.append(_marks(found, net, "variance_test", scale=scale))
        both = (found["mean"]["variance_train"], found["mean"]["variance_test"])
        numbers = [f"{mean / scale:.3g}" for mean in both if mean is not None]
        means.append(f"{net} {' / '.join(numbers) or 'undefined'}")
    spec = strips(names, traces, title="variance per neuron")
    spec["layout"]["xaxis"]["rangemode"] = "tozero"
    return Figure(
        "variance",
        "Spread within a class",
        "Variance of a class's spike counts in the last spiking layer (min-max scaled per "
        "sample), mean over neurons, so that nets of other width compare. Test data are only "
        "described here: nothing is chosen by them.",
        f"Mean over classes (training / test): {', '.join(means)}.",
        spec,
    )


def _cosine(nets: Mapping[str, Findings], names: list[str]) -> Figure:
    traces, means = [], []
    for net, found in nets.items():
        traces.append(_marks(found, net, "cosine"))
        mean = found["mean"]["cosine"]
        means.append(f"{net} {'undefined' if mean is None else f'{mean:.3g}'}")
    return Figure(
        "cosine",
        "Training against test set",
        "Cosine of a class's mean spike counts in the training and in the test set; 1: equal "
        "direction.",
        f"Mean over classes (cosine): {', '.join(means)}.",
        strips(names, traces, title="cosine"),
    )


def _marks(found: Findings, net: str, measure: str, *, scale: int = 1) -> Spec:
    color, symbol = _LOOKS[net]
    words = {"variance_train": ", training set", "variance_test": ", test set", "cosine": ""}
    name = f"{net}{words[measure]}"
    rows = found["classes"][:MANY_CLASSES]
    values = [row[measure] for row in rows]
    return dots(
        [None if value is None else value / scale for value in values],
        name,
        color,
        f"{symbol}-open" if measure == "variance_test" else symbol,
        hover=f"{name}: %{{x:.4g}}",
        names=[row["class"] for row in rows],
    )
