"""Charts for the page and for print: points by name, or lines over numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from spikeprune.lab.compare.numbers.statistics import Summary
from spikeprune.lab.compare.output import plotly_figures
from spikeprune.lab.report.plotly_parts import Figure, Spec, layer_axis, layout, safe

_LINES_HEIGHT, _HEAD_HEIGHT, _ROW_HEIGHT = 380, 130, 40
_SPREAD = 0.5  # share of a row's height over which its series are spread
Numbers = tuple[float | None, ...]


@dataclass(frozen=True)
class Series:
    """Means with standard deviations."""

    name: str  # in the legend
    y: Numbers  # means, None if unknown
    std: Numbers = ()  # sample standard deviation of each mean, None if unknown; empty without any
    x: tuple[float, ...] = ()  # one per mean in a chart of lines; empty in a chart with names
    dashed: bool = False

    @classmethod
    def of(
        cls, name: str, found: Sequence[Summary], x: tuple[float, ...] = (), *, dashed: bool = False
    ) -> Self:
        """Return the series of these means and standard deviations."""
        y, std = tuple(one.mean for one in found), tuple(one.std for one in found)
        return cls(name, y, std, x, dashed)

    @property
    def bars(self) -> list[float]:
        """Lengths of the error bars, 0 if unknown."""
        return [value or 0.0 for value in self.std or (None,) * len(self.y)]


@dataclass(frozen=True)
class Level:
    """A line across the chart: a mean to compare with."""

    name: str
    y: float


@dataclass(frozen=True)
class Chart:
    """A figure: with `names`, points in one row per name; without, lines over numbers."""

    key: str  # of the figure; part of file names
    title: str
    caption: str  # what is drawn, and how to read it
    value: str  # title of the axis of means, with its unit
    series: tuple[Series, ...]  # means that are drawn
    names: tuple[str, ...] = ()  # of the rows
    x: str = ""  # title of the x axis of a chart of lines
    levels: tuple[Level, ...] = ()  # lines to compare with

    @property
    def empty(self) -> bool:
        """Whether no mean is known."""
        return not any(value is not None for one in self.series for value in one.y)

    @property
    def summary(self) -> str:
        """The means in words, for readers who cannot see the chart."""
        parts = [f"{level.name} {level.y:.4g}" for level in self.levels]
        for one in self.series:
            names = self.names or ["ends at"] * len(one.y)
            known = [f"{n} {y:.4g}" for n, y in zip(names, one.y, strict=True) if y is not None]
            known = known if self.names else known[-1:]
            prefix = f"{one.name}: " if len(self.series) > 1 or not self.names else ""
            parts.append(prefix + ", ".join(known))
        return f"{'; '.join(parts)}."

    def positions(self, number: int) -> list[float]:
        """Return where the points of a series stand in their rows: several side by side."""
        count = len(self.series)
        offset = 0.0 if count < 2 else _SPREAD * (number / (count - 1) - 0.5)
        return [row + offset for row in range(len(self.names))]


def on_page(chart: Chart) -> Figure:
    """Return the chart as a figure of the page."""
    if chart.empty:
        return Figure(chart.key, chart.title, chart.caption, reason="Nothing was measured.")
    traces = [_level(chart, level, number) for number, level in enumerate(chart.levels)]
    traces += [_trace(chart, one, number) for number, one in enumerate(chart.series)]
    value: dict[str, Any] = {"title": {"text": chart.value}}
    if chart.names:
        axes = {"xaxis": value, "yaxis": layer_axis(chart.names)}
        height = _HEAD_HEIGHT + max(len(chart.names), 2) * max(_ROW_HEIGHT, 13 * len(chart.series))
    else:
        axes = {"xaxis": {"title": {"text": chart.x}}, "yaxis": value}
        height = _LINES_HEIGHT
    spec: Spec = {"data": traces, "layout": layout(height, **axes)}
    return Figure(chart.key, chart.title, chart.caption, chart.summary, spec)


def _trace(chart: Chart, one: Series, number: int) -> Spec:
    colour = plotly_figures.colour(number)
    bars = {"type": "data", "array": one.bars, "visible": any(one.bars), "color": colour}
    trace = plotly_figures.series(one.name, number)
    if chart.names:
        return trace | {
            "mode": "markers",
            "x": list(one.y),
            "y": chart.positions(number),
            "error_x": bars,
            "customdata": [safe(name) for name in chart.names],
            "hovertemplate": "%{customdata}: %{x:.4~g}",
        }
    return trace | {
        "mode": "lines+markers",
        "x": list(one.x),
        "y": list(one.y),
        "error_y": bars,
        "line": {"color": colour, "width": 1.5, "dash": "dash" if one.dashed else "solid"},
        "hovertemplate": "%{y:.4~g} at %{x:.4~g}",
    }


def _level(chart: Chart, level: Level, number: int) -> Spec:
    if chart.names:
        x, y = [level.y] * 2, [-0.5, len(chart.names) - 0.5]
    else:
        numbers = [x for one in chart.series for x in one.x]
        x, y = [min(numbers), max(numbers)], [level.y] * 2
    dash = "dash" if number % 2 == 0 else "dot"
    return {
        "type": "scatter",
        "mode": "lines",
        "name": safe(level.name),
        "x": x,
        "y": y,
        "line": {"color": "@muted", "width": 1.5, "dash": dash},
        "hovertemplate": f"{safe(level.name)}: {level.y:.4g}<extra></extra>",
    }
