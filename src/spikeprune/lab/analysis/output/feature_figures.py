"""Figures of features by class: their spread, and the cosine of training and test set."""

from collections.abc import Mapping

from spikeprune.lab.analysis.findings import Features, Findings
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
    return [_spread(found, prefix), _cosine(found, prefix)] if found else []


def _spread(nets: Mapping[str, Features], prefix: str) -> Figure:
    names, traces, means = _names(nets), [], []
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
        f"{prefix}-variance",
        "Spread within a class",
        "Variance of a class's spike counts in the last spiking layer (min-max scaled per "
        "sample), mean over neurons, so that nets of other width compare. Test data are only "
        "described here: nothing is chosen by them." + _omitted(nets),
        f"Mean over classes (training / test): {', '.join(means)}.",
        spec,
    )


def _cosine(nets: Mapping[str, Features], prefix: str) -> Figure:
    names, traces, means = _names(nets), [], []
    for net, found in nets.items():
        traces.append(_marks(found, net, "cosine"))
        mean = found["mean"]["cosine"]
        means.append(f"{net} {'undefined' if mean is None else f'{mean:.3g}'}")
    return Figure(
        f"{prefix}-cosine",
        "Training against test set",
        "Cosine of a class's mean spike counts in the training and in the test set; 1: equal "
        "direction." + _omitted(nets),
        f"Mean over classes (cosine): {', '.join(means)}.",
        strips(names, traces, title="cosine"),
    )


def _names(nets: Mapping[str, Features]) -> list[str]:
    return [row["class"] for row in next(iter(nets.values()))["classes"]][:MANY_CLASSES]


def _omitted(nets: Mapping[str, Features]) -> str:
    total = len(next(iter(nets.values()))["classes"])
    if total <= MANY_CLASSES:
        return ""
    return f" The first {MANY_CLASSES} of {total} classes; all are in analysis.json."


def _marks(found: Features, net: str, measure: str, *, scale: int = 1) -> Spec:
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
