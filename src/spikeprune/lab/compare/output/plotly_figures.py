"""The figures of the page as Plotly specifications: accuracy over sparsity and over costs."""

from collections.abc import Collection, Sequence

from spikeprune.lab.compare.jobs.grid import Key
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
from spikeprune.lab.compare.numbers.rows_and_contrasts import Row
from spikeprune.lab.report.plotly_parts import Figure, Spec, layout, safe

_HEIGHT = 420
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "triangle-down", "cross")
_COLOURS = 8


def figures(comparison: Comparison) -> list[Figure]:
    """Return the page's figures, one for every axis and setting."""
    several = len(comparison.settings) > 1
    drawn = []
    for number, setting in enumerate(comparison.settings):
        rows = [row for row in comparison.rows if row.setting == setting]
        for axis in AXES:
            title = f"Accuracy over {axis.words}" + (f": {setting}" if several else "")
            kept = comparison.fronts.get(axis.key, frozenset())
            key = f"{axis.key}-{number}"
            drawn.append(_figure(key, title, rows, axis, select=comparison.select, kept=kept))
    return drawn


def _figure(
    key: str, title: str, rows: Sequence[Row], axis: Axis, *, select: str, kept: Collection[Key]
) -> Figure:
    caption = (
        f"Mean {select} accuracy over the seeds; bars: sample standard deviation of both. Dashed: "
        "the dense nets of the same seeds."
    )
    if axis.dense:
        caption += " Rings: not dominated, by the means."
    found, dense = curves(rows, axis, select), dense_level(rows, select)
    if not found:
        return Figure(key, title, caption, reason="No pruning run is finished.")
    traces = [_trace(curve, number) for number, curve in enumerate(found)]
    if rings := marked(found, kept):
        traces.append(_rings(rings))
    top, best = max((point.y, curve.method) for curve in found for point in curve.points)
    summary = f"The highest mean is that of {best}, {top:.2f} %"
    summary += "." if dense is None else f"; the dense nets reach {dense:.2f} %."
    marks = {} if dense is None else _dense_line(dense)
    x, y = ({"title": {"text": words}} for words in (axis.title, f"{select} accuracy, %"))
    spec = {"data": traces, "layout": layout(_HEIGHT, xaxis=x, yaxis=y, **marks)}
    return Figure(key, title, caption, summary, spec)


def colour(number: int) -> str:
    """Return the colour of a series."""
    return f"@series-{number % _COLOURS}"


def series(name: str, number: int) -> Spec:
    """Return name, colour and symbol of a trace of points."""
    symbol = _SYMBOLS[number % len(_SYMBOLS)]
    marker = {"color": colour(number), "size": 8, "symbol": symbol}
    return {"type": "scatter", "name": safe(name), "marker": marker}


def _trace(curve: AccuracyCurve, number: int) -> Spec:
    return series(curve.method, number) | {
        "mode": "lines+markers",
        "x": [point.x for point in curve.points],
        "y": [point.y for point in curve.points],
        "error_x": _error_bars([point.x_std for point in curve.points], number),
        "error_y": _error_bars([point.y_std for point in curve.points], number),
        "line": {"color": colour(number), "width": 1.5},
        "customdata": [point.n for point in curve.points],
        "hovertemplate": "%{y:.2f} % at %{x:.4~s}, n = %{customdata}",
    }


def _rings(points: Sequence[tuple[str, Point]]) -> Spec:
    """Return rings around points, joined by the steps of what is reached at a cost."""
    line = {"color": "@ink", "width": 1, "dash": "dot", "shape": "hv"}
    ring = {"color": "@ink", "size": 15, "symbol": "circle-open", "line": {"width": 1.5}}
    return {
        "type": "scatter",
        "name": "not dominated",
        "mode": "lines+markers",
        "x": [point.x for _, point in points],
        "y": [point.y for _, point in points],
        "line": line,
        "marker": ring,
        "hoverinfo": "skip",
    }


def _error_bars(lengths: list[float], number: int) -> Spec:
    bars = {"type": "data", "array": lengths, "visible": any(lengths), "color": colour(number)}
    return bars | {"thickness": 1, "width": 3}


def _dense_line(level: float) -> Spec:
    line = {"color": "@dense", "width": 1.5, "dash": "dash"}
    shape = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": level, "y1": level}
    note = {"xref": "paper", "x": 1, "xanchor": "right", "y": level, "yanchor": "bottom"}
    words = {"text": "dense", "showarrow": False, "font": {"color": "@muted", "size": 11}}
    return {"shapes": [{**shape, "line": line}], "annotations": [{**note, **words}]}
