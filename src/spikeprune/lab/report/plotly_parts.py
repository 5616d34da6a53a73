"""Parts that the report's figures share: what a figure is, its axes, its labels.

A figure is a plain Plotly specification (JSON), so that building it needs no Plotly at all.
Colours are written `@name` and resolved by the page from its style sheet: one palette, light and
dark.
"""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]

HATCH: Spec = {
    "shape": "/",
    "size": 6,
    "solidity": 0.25,
    "fillmode": "overlay",
    "fgcolor": "@surface",
}
"""Second mark beside colour, so that nothing is told by colour alone."""

_LABEL = 22


@dataclass(frozen=True)
class Figure:
    """One figure of the report.

    Attributes:
        key: Name in the page, unique, fit for an HTML id.
        title: Heading.
        caption: What is drawn, with units.
        summary: What there is to see, for those who do not see it.
        spec: Plotly specification, or None when there is nothing to draw.
        reason: Why there is nothing to draw.
        wide: Whether it takes the whole width of a wide screen.
    """

    key: str
    title: str
    caption: str
    summary: str = ""
    spec: Spec | None = None
    reason: str = ""
    wide: bool = False


def absent(key: str, title: str, caption: str, reason: str) -> Figure:
    """Return a figure that says why it is empty."""
    return Figure(key, title, caption, reason=reason)


def safe(text: Any) -> str:
    """Return a user's text as Plotly must get it: Plotly reads a few HTML tags in any text."""
    return html.escape(str(text), quote=False)


def label(name: str) -> str:
    """Return a layer or class name short enough for an axis: its tail tells most."""
    return safe(name if len(name) <= _LABEL else f"…{name[1 - _LABEL :].lstrip('.')}")


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


def strip_height(rows: int, each: int = 22) -> int:
    """Return the height in pixels of a figure with one strip per row."""
    return 110 + each * max(rows, 3)


def bars(
    values: Iterable[float | None], name: str, color: str, *, hover: str, data: Sequence[Any]
) -> Spec:
    """Return horizontal bars, one per row; `data` are the rows that the hover text shows."""
    return {
        "type": "bar",
        "orientation": "h",
        "x": list(values),
        "y": list(range(len(data))),
        "name": name,
        "marker": {"color": color},
        "customdata": list(data),
        "hovertemplate": f"{hover}<extra></extra>",
    }


def strips(
    names: Sequence[str],
    traces: list[Spec],
    *,
    title: str = "%",
    stacked: bool = False,
    each: int = 22,
) -> Spec:
    """Return horizontal strips, one row per name: the figure of all per-layer values."""
    axes = {"xaxis": {"title": {"text": title}}, "yaxis": layer_axis(names)}
    mode = "stack" if stacked else "group"
    height = strip_height(len(names), each)
    return {"data": traces, "layout": layout(height, barmode=mode, **axes)}


def layout(height: int, **more: Any) -> Spec:
    """Return the common layout, with `more` merged into it one level deep."""
    base: Spec = {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "@ink", "size": 12},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1,
            "yanchor": "bottom",
            "traceorder": "normal",
        },
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "@muted", "activecolor": "@ink"},
        "hoverlabel": {"bgcolor": "@raised", "bordercolor": "@muted", "font": {"color": "@ink"}},
        "hovermode": "closest",
        "bargap": 0.25,
    }
    for key in [key for key in more if key.startswith(("xaxis", "yaxis"))]:
        more[key] = {**_AXIS, **more[key]}
    for key, value in more.items():
        known = base.get(key)
        base[key] = {**known, **value} if isinstance(known, dict) else value
    return base


def finite(value: Any) -> Any:
    """Return nested data with numbers that JSON cannot hold (NaN, infinity) as None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return value


_AXIS: Spec = {
    "gridcolor": "@grid",
    "zerolinecolor": "@grid",
    "linecolor": "@grid",
    "tickfont": {"color": "@muted"},
    "automargin": True,
    "ticks": "",
}
