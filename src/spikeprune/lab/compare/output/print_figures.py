"""Figures for print, drawn by matplotlib: SVG and PDF."""

import os
import re
from pathlib import Path
from typing import Any

from spikeprune.lab.compare.numbers.comparison import Comparison
from spikeprune.lab.compare.numbers.curves import AXES, Axis, Curve, curves, dense_level
from spikeprune.lab.run_folder import ComparisonFolder

_INCHES = (4.6, 3.2)
COLOURS = ("#0a66ad", "#c4560a", "#1d7f4e", "#9b3c8f", "#6b5b00", "#b3283c", "#3f8fa8", "#555555")
MARKERS = "osD^XPv*"
_KINDS = ("svg", "pdf")


def write_prints(comparison: Comparison, folder: ComparisonFolder) -> list[Path]:
    """Write accuracy over sparsity and over SynOps for every setting; return the files.

    Points are means over the seeds, bars sample standard deviations, the dashed line is the mean of
    the dense nets. A setting without a finished pruning run has no figure.
    """
    files = []
    for setting in comparison.settings:
        rows = [row for row in comparison.rows if row.setting == setting]
        tail = f"-{_slug(setting)}" if len(comparison.settings) > 1 else ""
        dense = dense_level(rows, comparison.select)
        for axis in AXES:
            found = curves(rows, axis, comparison.select)
            if found:
                figure = _drawn(found, dense, axis, comparison.select)
                paths = [folder.figures / f"accuracy-{axis.key}{tail}.{kind}" for kind in _KINDS]
                files += [save_figure(figure, path) for path in paths]
    return files


def _slug(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.")


def _drawn(found: list[Curve], dense: float | None, axis: Axis, select: str) -> Any:
    from matplotlib.figure import Figure  # without pyplot: no state, no window

    figure = Figure(figsize=_INCHES, layout="constrained")
    axes = figure.subplots()
    style: dict[str, Any] = {"markersize": 4.5, "linewidth": 1.2, "elinewidth": 0.9, "capsize": 2}
    if dense is not None:
        axes.axhline(dense, color="#6a7683", linestyle="--", linewidth=1, label="dense")
    for number, curve in enumerate(found):
        points = curve.points
        axes.errorbar(
            [point.x for point in points],
            [point.y for point in points],
            xerr=[point.x_std for point in points],
            yerr=[point.y_std for point in points],
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            label=curve.method.replace("$", r"\$"),
            **style,
        )
    axes.set_xlabel(axis.title)
    axes.set_ylabel(f"{select} accuracy, %")
    axes.grid(color="#e3e5e8", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure


def save_figure(figure: Any, path: Path) -> Path:
    """Write a figure as SVG, PDF or PNG, whole or not at all, the same bytes for the same numbers.

    Args:
        figure: of matplotlib.
        path: its ending says which.
    """
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    date = {"svg": "Date", "pdf": "CreationDate", "png": "Software"}[path.suffix[1:]]
    with rc_context({"svg.hashsalt": "spikeprune"}):  # else the names inside are random
        figure.savefig(draft, metadata={date: None})
    os.replace(draft, path)
    return path
