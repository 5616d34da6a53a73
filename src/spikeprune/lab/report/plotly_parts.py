"""Parts of the pages' figures: axes, labels, bars, markers and the common layout.

A figure is a plain Plotly specification (JSON): building it needs no Plotly. A colour is written
`@name`; the page looks it up in its style sheet, which has a light and a dark palette.
"""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]
Values = Iterable[float | None]

HATCH: Spec = {"shape": "/", "size": 6, "solidity": 0.25, "fillmode": "overlay"}
HATCH["fgcolor"] = "@surface"


@dataclass(frozen=True)
class Figure:
    """A figure of a page."""

    key: str  # HTML id, unique in the page
    title: str
    caption: str  # what the figure draws, with units
    summary: str = ""  # the result in words, also for readers who cannot see the figure
    spec: Spec | None = None
    reason: str = ""  # why there is nothing to draw
    wide: bool = False  # over the whole width of a wide screen


def safe(text: Any) -> str:
    """Escape a user's text for Plotly, which interprets a few HTML tags in any text."""
    return html.escape(str(text), quote=False)


def label(name: str) -> str:
    """Return a layer or class name short enough for an axis: its end distinguishes it best."""
    return safe(name if len(name) <= 22 else f"…{name[-21:].lstrip('.')}")


def layer_axis(names: Sequence[str]) -> Spec:
    """Return a vertical axis with one row per name, the first on top."""
    return {
        "tickvals": list(range(len(names))),
        "ticktext": [label(name) for name in names],
        "range": [len(names) - 0.5, -0.5],
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }


def bars(
    values: Values, name: str, color: str, *, hover: str, data: Sequence[Any], hatched: bool = False
) -> Spec:
    """Return horizontal bars, one per value; the hover text reads its numbers from `data`."""
    return {
        "type": "bar",
        "orientation": "h",
        "x": list(values),
        "y": list(range(len(data))),
        "name": name,
        "marker": {"color": color, "pattern": HATCH} if hatched else {"color": color},
        "customdata": list(data),
        "hovertemplate": f"{hover}<extra></extra>",
    }


def dots(
    values: Values, name: str, color: str, symbol: str, *, hover: str, names: Sequence[str]
) -> Spec:
    """Return a marker per value, on the row of its name."""
    return scatter(
        "markers",
        list(values),
        list(range(len(names))),
        name=name,
        marker={"color": color, "symbol": symbol, "size": 10, "line": {"width": 2, "color": color}},
        customdata=[safe(name) for name in names],
        hovertemplate=f"%{{customdata}}<br>{hover}<extra></extra>",
    )


def scatter(mode: str, x: Sequence[Any], y: Sequence[Any], **more: Any) -> Spec:
    """Return points or lines through points."""
    return {"type": "scatter", "mode": mode, "x": x, "y": y, **more}


def strips(
    names: Sequence[str],
    traces: list[Spec],
    *,
    title: str = "%",
    stacked: bool = False,
    each: int = 22,
) -> Spec:
    """Return a figure of horizontal strips, one per name and `each` pixels high."""
    spec = layout(
        110 + each * max(len(names), 3),
        barmode="stack" if stacked else "group",
        xaxis={"title": {"text": title}},
        yaxis=layer_axis(names),
    )
    return {"data": traces, "layout": spec}


def change_strips(
    names: Sequence[str], changes: Sequence[float | None], *, hover: str, data: Sequence[Any]
) -> Spec:
    """Return a figure of changes in points, with losses and gains in two colours."""
    trace = bars(changes, "change", "", hover=hover, data=data)
    trace["marker"]["color"] = ["@regrown" if (value or 0) < 0 else "@pruned" for value in changes]
    spec = strips(names, [trace], title="points")
    spec["layout"]["xaxis"]["zerolinecolor"] = "@muted"
    return spec


def layout(height: int, **more: Any) -> Spec:
    """Return the common layout, with `more` merged into it one level deep."""
    axis = {
        "gridcolor": "@grid",
        "zerolinecolor": "@grid",
        "linecolor": "@grid",
        "tickfont": {"color": "@muted"},
        "automargin": True,
        "ticks": "",
    }
    base: Spec = {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "@ink", "size": 12},
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "traceorder": "normal"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "@muted", "activecolor": "@ink"},
        "hoverlabel": {"bgcolor": "@raised", "bordercolor": "@muted", "font": {"color": "@ink"}},
        "hovermode": "closest",
        "bargap": 0.25,
    }
    for key, value in more.items():
        known = axis if key.startswith(("xaxis", "yaxis")) else base.get(key)
        base[key] = {**known, **value} if isinstance(known, dict) else value
    return base


def finite(value: Any) -> Any:
    """Replace NaN and infinity in nested data by None, because JSON cannot hold them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return value
