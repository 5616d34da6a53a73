"""Figures of features by class: their spread, and whether training and test set agree."""

from collections.abc import Iterable, Sequence

from spikeprune.lab.analysis.output.shapes import MANY_CLASSES, dots
from spikeprune.lab.report.plotly_parts import Figure, Spec, strips
from spikeprune.lab.report.run_record import Row

_NETS = {
    "untrained": ("@faint", "square"),
    "dense": ("@dense", "circle"),
    "pruned": ("@pruned", "diamond"),
}


def feature_figures(nets: Row, prefix: str) -> list[Figure]:
    """Return spread and cosine by class of all nets; nothing where nothing was measured."""
    drawn = (_classes(nets, key, prefix) for key in ("variance", "cosine"))
    return [figure for figure in drawn if figure is not None]


def _classes(nets: Row, key: str, prefix: str) -> Figure | None:
    """Return spread or cosine by class, a row of marks per net; None where nothing was measured."""
    rows = {name: net["features"] for name, net in nets.items() if "features" in net}
    if not rows:
        return None
    titles = {
        "variance": ("Spread within a class", "variance per neuron"),
        "cosine": ("Training against test set", "cosine"),
    }
    title, unit = titles[key]
    captions = {
        "variance": "Variance of a class's spike counts in the last spiking layer (min-max scaled "
        "per sample), mean over neurons, so that nets of other width compare. Test data are only "
        "described here: nothing is chosen by them.",
        "cosine": "Cosine of a class's mean spike counts in the training and in the test set; 1: "
        "the same direction.",
    }
    names = [row["class"] for row in next(iter(rows.values()))["classes"]][:MANY_CLASSES]
    parts = ("variance_train", "variance_test") if key == "variance" else ("cosine",)
    traces = []
    for net, found in rows.items():
        for part in parts:
            scale = found["features"] if key == "variance" else 1
            values = [None if row[part] is None else row[part] / scale for row in found["classes"]]
            traces.append(_marks(values[:MANY_CLASSES], net, part, names))
    spec = strips(names, traces, title=unit)
    if key == "variance":
        spec["layout"]["xaxis"]["rangemode"] = "tozero"
    caption = captions[key]
    total = len(next(iter(rows.values()))["classes"])
    if total > len(names):
        caption += f" The first {len(names)} of {total} classes; all are in analysis.json."
    return Figure(f"{prefix}-{key}", title, caption, _class_summary(rows, parts), spec)


def _marks(values: Sequence[float | None], net: str, part: str, names: Sequence[str]) -> Spec:
    color, symbol = _NETS[net]
    words = {"variance_train": ", training set", "variance_test": ", test set"}.get(part, "")
    look = (color, f"{symbol}-open" if part == "variance_test" else symbol)
    hover = f"%{{customdata}}<br>{net}{words}: %{{x:.4g}}"
    return dots(values, f"{net}{words}", look, hover=hover, names=names)


def _class_summary(rows: Row, parts: Iterable[str]) -> str:
    texts = []
    for net, found in rows.items():
        scale = 1 if "cosine" in parts else found["features"]
        means = [found["mean"][part] for part in parts]
        numbers = [f"{mean / scale:.3g}" for mean in means if mean is not None]
        texts.append(f"{net} {' / '.join(numbers) or 'undefined'}")
    kind = "training / test" if "cosine" not in parts else "cosine"
    return f"Mean over classes ({kind}): {', '.join(texts)}."
