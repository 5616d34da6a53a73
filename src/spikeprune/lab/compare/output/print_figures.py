"""The figures for print, drawn by matplotlib as SVG and PDF."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spikeprune.files import replacing
from spikeprune.lab.compare.jobs.grid import slug
from spikeprune.lab.compare.numbers.comparison import Comparison
from spikeprune.lab.compare.numbers.curves import (
    AXES,
    AccuracyCurve,
    Axis,
    Point,
    curves,
    dense_level,
    marked,
)
from spikeprune.lab.run_folder import ComparisonFolder

GREY = "#6a7683"
_COLOURS = ("#0a66ad", "#c4560a", "#1d7f4e", "#9b3c8f", "#6b5b00", "#b3283c", "#3f8fa8", "#555555")
_MARKERS = "osD^XPv*"
_KINDS = ("svg", "pdf")


def write_prints(comparison: Comparison, folder: ComparisonFolder) -> list[Path]:
    """Draw means and deviations over sparsity and costs by setting, and return the files."""
    files = []
    for setting in comparison.settings:
        rows = [row for row in comparison.rows if row.setting == setting]
        tail = f"-{slug(setting)}" if len(comparison.settings) > 1 else ""
        dense = dense_level(rows, comparison.select)
        for axis in AXES:
            found = curves(rows, axis, comparison.select)
            if found:
                kept = marked(found, comparison.fronts.get(axis.key, ()))
                figure = _drawn(found, dense, axis, comparison.select, rings=kept)
                paths = [folder.figures / f"accuracy-{axis.key}{tail}.{kind}" for kind in _KINDS]
                files += [save_figure(figure, path) for path in paths]
    return files


def _drawn(
    found: list[AccuracyCurve],
    dense: float | None,
    axis: Axis,
    select: str,
    *,
    rings: Sequence[tuple[str, Point]],
) -> Any:
    figure, axes = new_figure((4.6, 3.2))
    if dense is not None:
        axes.axhline(dense, color=GREY, linestyle="--", linewidth=1, label="dense")
    for number, curve in enumerate(found):
        axes.errorbar(
            [point.x for point in curve.points],
            [point.y for point in curve.points],
            xerr=[point.x_std for point in curve.points],
            yerr=[point.y_std for point in curve.points],
            **series(curve.method, number),
        )
    if rings:
        x, y = [point.x for _, point in rings], [point.y for _, point in rings]
        axes.step(x, y, where="post", color="#1d2329", linestyle=":", linewidth=0.9)
        ring = {"markersize": 9, "fillstyle": "none", "color": "#1d2329", "linestyle": "none"}
        axes.plot(x, y, marker="o", label="not dominated", **ring)
    axes.set_xlabel(axis.title)
    axes.set_ylabel(f"{select} accuracy, %")
    axes.legend(frameon=False, fontsize=8)
    return figure


def new_figure(inches: tuple[float, float], dpi: float | None = None) -> tuple[Any, Any]:
    """Return a figure of matplotlib and its empty axes."""
    from matplotlib.figure import Figure  # without pyplot: no global state, no window

    figure = Figure(figsize=inches, layout="constrained", dpi=dpi)
    axes = figure.subplots()
    axes.grid(color="#e3e5e8", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def series(name: str, number: int) -> dict[str, Any]:
    """Return name, colour, marker and line widths of a series as arguments of `errorbar`."""
    return {
        "label": plain(name),
        "color": _COLOURS[number % len(_COLOURS)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "markersize": 4.5,
        "linewidth": 1.2,
        "elinewidth": 0.9,
        "capsize": 2,
    }


def plain(text: str) -> str:
    """Return text that matplotlib does not read as a formula."""
    return text.replace("$", r"\$")


def save_figure(figure: Any, path: Path) -> Path:
    """Write a figure of matplotlib atomically as svg, pdf or png; equal figures, equal bytes."""
    from matplotlib import rc_context

    date = {"svg": "Date", "pdf": "CreationDate", "png": "Software"}[path.suffix[1:]]
    # With salt, because the names inside are random else.
    with replacing(path) as draft, rc_context({"svg.hashsalt": "spikeprune"}):
        figure.savefig(draft, format=path.suffix[1:], metadata={date: None})
    return path
