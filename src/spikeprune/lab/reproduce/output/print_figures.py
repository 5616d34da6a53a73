"""The charts for print, drawn by matplotlib as SVG and PNG."""

from pathlib import Path
from typing import Any

from spikeprune.lab.compare.output.print_figures import GREY, new_figure, plain, save_figure, series
from spikeprune.lab.reproduce.output.charts import Chart, Series


def write_chart(chart: Chart, folder: Path, foot: str) -> list[Path]:
    """Write a chart as SVG and PNG, with a line at its foot; an empty chart has no files."""
    if chart.empty:
        return []
    figure = _drawn(chart)
    figure.supxlabel(plain(foot), fontsize=6, color=GREY)
    return [save_figure(figure, folder / f"{chart.key}.{kind}") for kind in ("svg", "png")]


def _drawn(chart: Chart) -> Any:
    height = 1.6 + 0.34 * len(chart.names) if chart.names else 3.2
    figure, axes = new_figure((4.8, height), dpi=200)
    for number, level in enumerate(chart.levels):
        line = axes.axvline if chart.names else axes.axhline
        style = "--" if number % 2 == 0 else ":"
        line(level.y, color=GREY, linestyle=style, linewidth=1, label=plain(level.name))
    for number, one in enumerate(chart.series):
        _draw(axes, chart, one, number)
    if chart.names:
        axes.set_yticks(range(len(chart.names)), [plain(name) for name in chart.names])
        axes.set_ylim(len(chart.names) - 0.5, -0.5)
        axes.set_xlabel(chart.value)
    else:
        axes.set_xlabel(chart.x)
        axes.set_ylabel(chart.value)
    if chart.levels or len(chart.series) > 1:
        figure.legend(frameon=False, fontsize=7, loc="outside upper left", ncols=2)
    return figure


def _draw(axes: Any, chart: Chart, one: Series, number: int) -> None:
    values = [float("nan") if value is None else value for value in one.y]
    bars = one.bars if any(one.bars) else None
    style = series(one.name, number)
    if chart.names:
        axes.errorbar(values, chart.positions(number), xerr=bars, linestyle="none", **style)
    else:
        line = "--" if one.dashed else "-"
        axes.errorbar(one.x, values, yerr=bars, linestyle=line, **style)
