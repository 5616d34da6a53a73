"""Bars that several figures of an analysis share: change per class, ratio per layer."""

from dataclasses import replace

from spikeprune.lab.analysis.findings import Findings
from spikeprune.lab.report.plotly_parts import Figure, bars, change_strips, safe, strips

MANY_CLASSES = 30
"""Largest number of classes in a figure."""


def ratio_bars(figure: Figure, rows: list[Findings]) -> Figure:
    """Draw the synaptic operations after in per cent of those before, by layer."""
    known = [row for row in rows if row["ratio"] is not None]
    if not known:
        return replace(figure, reason="No layer has operations in both nets.")
    data = [[safe(row["layer"]), row["before"], row["after"]] for row in known]
    hover = "%{customdata[0]}: %{x:.1f} %<br>%{customdata[1]:,.0f} to %{customdata[2]:,.0f}"
    ratios = [100 * row["ratio"] for row in known]
    trace = bars(ratios, "", "@pruned", hover=hover, data=data)
    summary = f"Above 100 % in {sum(row['ratio'] > 1 for row in known)} of {len(known)} layers."
    spec = strips([row["layer"] for row in known], [trace])
    return replace(figure, summary=summary, spec=spec)


def change_bars(figure: Figure, rows: list[Findings]) -> Figure:
    """Draw the change of accuracy per class in points, the largest loss first."""
    known = [row for row in rows if row["change_in_points"] is not None]
    known.sort(key=lambda row: row["change_in_points"])
    if not known:
        return replace(figure, reason="No accuracy per class of both nets is known.")
    caption = figure.caption
    lost = sum(row["change_in_points"] < 0 for row in known)
    summary = f"{lost} of {len(known)} classes lost."
    if len(known) > MANY_CLASSES:
        half = MANY_CLASSES // 2
        caption += f" The {half} that lost most and the {half} that gained most of {len(known)}."
        known = [*known[:half], *known[-half:]]
    changes, names = [row["change_in_points"] for row in known], [row["class"] for row in known]
    hover = "%{customdata}: %{x:+.2f} points"
    spec = change_strips(names, changes, hover=hover, data=[safe(name) for name in names])
    return replace(figure, caption=caption, summary=summary, spec=spec)
