"""Charts for print, drawn by matplotlib: SVG and PNG."""

from pathlib import Path
from typing import Any

from spikeprune.lab.compare.output.print_figures import COLOURS, MARKERS, save_figure
from spikeprune.lab.reproduce.output.charts import Chart, Series, offset

_WIDTH, _HEIGHT, _EACH = 4.8, 3.2, 0.34
_GREY = "#6a7683"
_STYLE: dict[str, Any] = {"markersize": 4.5, "linewidth": 1.2, "elinewidth": 0.9, "capsize": 2}


def write_chart(chart: Chart, folder: Path, foot: str) -> list[Path]:
    """Write a chart as SVG and PNG and return the files; none where there is nothing to draw.

    Args:
        chart: what is drawn.
        folder: of the files.
        foot: line under it that says how far it may be trusted, wherever the file goes.
    """
    if chart.empty:
        return []
    figure = _drawn(chart)
    figure.supxlabel(_text(foot), fontsize=6, color=_GREY)
    return [save_figure(figure, folder / f"{chart.key}.{kind}") for kind in ("svg", "png")]


def _drawn(chart: Chart) -> Any:
    from matplotlib.figure import Figure  # without pyplot: no state, no window

    height = 1.6 + _EACH * len(chart.names) if chart.names else _HEIGHT
    figure = Figure(figsize=(_WIDTH, height), layout="constrained", dpi=200)
    axes = figure.subplots()
    for number, level in enumerate(chart.levels):
        line = axes.axvline if chart.names else axes.axhline
        style = "--" if number % 2 == 0 else ":"
        line(level.y, color=_GREY, linestyle=style, linewidth=1, label=_text(level.name))
    for number, one in enumerate(chart.series):
        _draw(axes, chart, one, number)
    if chart.names:
        axes.set_yticks(range(len(chart.names)), [_text(name) for name in chart.names])
        axes.set_ylim(len(chart.names) - 0.5, -0.5)
        axes.set_xlabel(chart.value)
    else:
        axes.set_xlabel(chart.x)
        axes.set_ylabel(chart.value)
    axes.grid(color="#e3e5e8", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if chart.levels or len(chart.series) > 1:
        figure.legend(frameon=False, fontsize=7, loc="outside upper left", ncols=2)
    return figure


def _draw(axes: Any, chart: Chart, one: Series, number: int) -> None:
    marks = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
    values = [float("nan") if value is None else value for value in one.y]
    bars = one.bars if any(one.bars) else None
    if chart.names:
        rows = [row + offset(number, len(chart.series)) for row in range(len(chart.names))]
        places: dict[str, Any] = {"x": values, "y": rows, "xerr": bars, "linestyle": "none"}
    else:
        line = "--" if one.dashed else "-"
        places = {"x": one.x, "y": values, "yerr": bars, "linestyle": line}
    axes.errorbar(**places, label=_text(one.name), **marks, **_STYLE)


def _text(text: str) -> str:
    return text.replace("$", r"\$")
