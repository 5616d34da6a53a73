"""Shapes that several figures of an analysis share."""

from collections.abc import Sequence

from spikeprune.lab.report.plotly_parts import Figure, Spec, absent, bars, safe, strips
from spikeprune.lab.report.run_record import Row

MANY_CLASSES = 30


def dots(
    values: Sequence[float | None],
    words: str,
    look: tuple[str, str],
    *,
    hover: str,
    names: Sequence[str],
) -> Spec:
    """Return marks of one colour and symbol, one per row."""
    color, symbol = look
    trace = bars(values, words, color, hover=hover, data=[safe(name) for name in names])
    del trace["orientation"]
    marker = {"color": color, "symbol": symbol, "size": 10, "line": {"width": 2, "color": color}}
    return {**trace, "type": "scatter", "mode": "markers", "marker": marker}


def ratio_bars(rows: list[Row], head: tuple[str, str], caption: str) -> Figure:
    """Return operations after in per cent of those before, by layer."""
    known = [row for row in rows if row["ratio"] is not None]
    if not known:
        return absent(*head, caption, "No layer has operations in both nets.")
    data = [[safe(row["layer"]), row["before"], row["after"]] for row in known]
    hover = "%{customdata[0]}: %{x:.1f} %<br>%{customdata[1]:,.0f} to %{customdata[2]:,.0f}"
    trace = bars([100 * row["ratio"] for row in known], "", "@pruned", hover=hover, data=data)
    spec = strips([row["layer"] for row in known], [trace])
    risen = [row["layer"] for row in known if row["ratio"] > 1]
    summary = f"Above 100 % in {len(risen)} of {len(known)} layers."
    return Figure(*head, caption, summary, spec)


def change_bars(rows: list[Row], head: tuple[str, str], caption: str) -> Figure:
    """Return the change of accuracy per class in points, the largest loss first."""
    known = sorted(
        (row for row in rows if row["change_in_points"] is not None),
        key=lambda row: row["change_in_points"],
    )
    if not known:
        return absent(*head, caption, "No accuracy per class of both nets is known.")
    lost = sum(row["change_in_points"] < 0 for row in known)
    summary = f"{lost} of {len(known)} classes lost."
    if len(known) > MANY_CLASSES:
        half = MANY_CLASSES // 2
        caption += f" The {half} that lost most and the {half} that gained most of {len(known)}."
        known = [*known[:half], *known[-half:]]
    values = [row["change_in_points"] for row in known]
    hover = "%{customdata}: %{x:+.2f} points"
    data = [safe(row["class"]) for row in known]
    trace = bars(values, "change", "", hover=hover, data=data)
    trace["marker"]["color"] = ["@regrown" if value < 0 else "@pruned" for value in values]
    spec = strips([row["class"] for row in known], [trace], title="points")
    spec["layout"]["xaxis"]["zerolinecolor"] = "@muted"
    return Figure(*head, caption, summary, spec)
