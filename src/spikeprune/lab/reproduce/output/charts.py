"""Charts of two forms, points by name and lines over numbers, for the page and for print."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spikeprune.lab.report.plotly_parts import Figure, Spec, layer_axis, layout, safe

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "triangle-down", "cross")
_COLOURS = 8
_LINES_HEIGHT, _HEAD, _EACH = 380, 130, 40
_SPREAD = 0.5  # share of a row that its series take
Numbers = tuple[float | None, ...]


@dataclass(frozen=True)
class Series:
    """Means with standard deviations (None where there is one seed or none).

    Attributes:
        name: in the legend.
        y: means.
        std: sample standard deviations, as many, or none at all.
        x: numbers of a chart of lines, as many; a chart by names has none.
        dashed: whether the line is dashed; for the second kind of two.
    """

    name: str
    y: Numbers
    std: Numbers = ()
    x: tuple[float, ...] = ()
    dashed: bool = False

    @property
    def bars(self) -> list[float]:
        """Lengths of the error bars, 0 where nothing is known."""
        return [value or 0.0 for value in self.std or (None,) * len(self.y)]


@dataclass(frozen=True)
class Level:
    """A line across the chart: a mean to compare with."""

    name: str
    y: float


@dataclass(frozen=True)
class Chart:
    """A figure. With `names` its points stand in rows, one a name; else lines run over x.

    Attributes:
        key: of the figure; fit for a file name.
        title: heading.
        caption: what is drawn, and how to read it.
        value: title of the axis of means, with its unit.
        series: what is drawn.
        names: rows.
        x: title of the axis of x, of a chart of lines.
        levels: lines to compare with.
    """

    key: str
    title: str
    caption: str
    value: str
    series: tuple[Series, ...]
    names: tuple[str, ...] = ()
    x: str = ""
    levels: tuple[Level, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is no number to draw."""
        return not any(value is not None for one in self.series for value in one.y)

    @property
    def summary(self) -> str:
        """The means in words, for those who do not see the chart."""
        parts = [f"{level.name} {level.y:.4g}" for level in self.levels]
        for one in self.series:
            if self.names:
                known = [
                    f"{n} {y:.4g}" for n, y in zip(self.names, one.y, strict=True) if y is not None
                ]
            else:
                last = [y for y in one.y if y is not None][-1:]
                known = [f"ends at {y:.4g}" for y in last]
            prefix = f"{one.name}: " if len(self.series) > 1 or not self.names else ""
            parts.append(prefix + ", ".join(known))
        return f"{'; '.join(parts)}."


def offset(number: int, count: int) -> float:
    """Return how far from the middle of its row the points of a series stand."""
    return 0.0 if count < 2 else _SPREAD * (number / (count - 1) - 0.5)


def on_page(chart: Chart) -> Figure:
    """Return a chart as a figure of the page."""
    if chart.empty:
        return Figure(chart.key, chart.title, chart.caption, reason="Nothing was measured.")
    traces = [_level(chart, level, number) for number, level in enumerate(chart.levels)]
    traces += [_trace(chart, one, number) for number, one in enumerate(chart.series)]
    value: dict[str, Any] = {"title": {"text": chart.value}}
    if chart.names:
        axes = {"xaxis": value, "yaxis": layer_axis(chart.names)}
        height = _HEAD + max(len(chart.names), 2) * max(_EACH, 13 * len(chart.series))
    else:
        axes = {"xaxis": {"title": {"text": chart.x}}, "yaxis": value}
        height = _LINES_HEIGHT
    spec: Spec = {"data": traces, "layout": layout(height, **axes)}
    return Figure(chart.key, chart.title, chart.caption, chart.summary, spec)


def _trace(chart: Chart, one: Series, number: int) -> Spec:
    colour = f"@series-{number % _COLOURS}"
    bars = {"type": "data", "array": one.bars, "visible": any(one.bars), "color": colour}
    trace: Spec = {
        "type": "scatter",
        "name": safe(one.name),
        "marker": {"color": colour, "size": 8, "symbol": _SYMBOLS[number % len(_SYMBOLS)]},
    }
    if chart.names:
        rows = [row + offset(number, len(chart.series)) for row in range(len(chart.names))]
        return trace | {
            **{"mode": "markers", "x": list(one.y), "y": rows, "error_x": bars},
            **{"customdata": [safe(name) for name in chart.names]},
            "hovertemplate": "%{customdata}: %{x:.4~g}",
        }
    line = {"color": colour, "width": 1.5, "dash": "dash" if one.dashed else "solid"}
    return trace | {
        **{"mode": "lines+markers", "x": list(one.x), "y": list(one.y), "error_y": bars},
        **{"line": line, "hovertemplate": "%{y:.4~g} at %{x:.4~g}"},
    }


def _level(chart: Chart, level: Level, number: int) -> Spec:
    ends = [-0.5, len(chart.names) - 0.5] if chart.names else _ends(chart.series)
    across = {"x": [level.y] * 2, "y": ends} if chart.names else {"x": ends, "y": [level.y] * 2}
    dash = "dash" if number % 2 == 0 else "dot"
    return {
        **{"type": "scatter", "mode": "lines", "name": safe(level.name), **across},
        **{"line": {"color": "@muted", "width": 1.5, "dash": dash}},
        "hovertemplate": f"{safe(level.name)}: {level.y:.4g}<extra></extra>",
    }


def _ends(series: Sequence[Series]) -> list[float]:
    places = [x for one in series for x in one.x]
    return [min(places), max(places)]
