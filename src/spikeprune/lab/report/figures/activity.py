"""Figures of the net at work, dense against pruned: firing, SynOps, accuracy per class."""

from collections.abc import Sequence
from typing import Any

from spikeprune.lab.report.number_words import amount, is_number, percent, points
from spikeprune.lab.report.plotly_parts import HATCH, Figure, Spec, absent, bars, safe, strips
from spikeprune.lab.report.run_record import Row, RunRecord

_MANY_CLASSES = 30
_EXTREMES = 12


def activity_figures(record: RunRecord) -> tuple[Figure, ...]:
    """Return firing rates and SynOps per layer, and the accuracy change per class."""
    return _firing(record), _synops(record), _classes(record)


def class_changes(record: RunRecord) -> list[tuple[str, float, float]]:
    """Return `(class, dense accuracy, pruned accuracy)`, the largest loss first."""
    names = (record.metrics.get("data") or {}).get("classes") or []
    dense = record.dense.get("per_class_accuracy") or []
    pruned = record.pruned.get("per_class_accuracy") or []
    rows = [
        (str(name), before, after)
        for name, before, after in zip(names, dense, pruned, strict=False)
        if is_number(before) and is_number(after)
    ]
    return sorted(rows, key=lambda row: row[2] - row[1])


def _firing(record: RunRecord) -> Figure:
    head = ("firing", "Firing rates per layer")
    caption = (
        "Share of neurons that fire in a time step, mean over the test set, of the neurons that "
        "the layer feeds, in %. The classifier feeds none."
    )
    dense, pruned = record.layers("dense"), record.layers("pruned")
    names = [
        name
        for name in dict.fromkeys([*dense, *pruned])
        if is_number(_entry(dense, name, "firing_rate"))
        or is_number(_entry(pruned, name, "firing_rate"))
    ]
    if not names:
        return absent(*head, caption, "metrics.json holds no firing rate per layer.")
    traces = [_links(names, dense, pruned)]
    for label, rows, symbol in (("dense", dense, "circle-open"), ("pruned", pruned, "diamond")):
        values = [_entry(rows, name, "firing_rate") for name in names]
        dots = bars(
            [100 * value if is_number(value) else None for value in values],
            label,
            f"@{label}",
            hover=f"%{{customdata}}<br>{label}: %{{x:.2f}} %",
            data=[safe(name) for name in names],
        )
        del dots["orientation"]
        ring = {"width": 2, "color": f"@{label}"}
        marker = {"line": ring, "color": f"@{label}", "symbol": symbol, "size": 10}
        traces.append({**dots, "type": "scatter", "mode": "markers", "marker": marker})
    spec = strips(names, traces, title="firing rate, %")
    spec["layout"]["xaxis"]["rangemode"] = "tozero"
    rates = f"dense {percent(record.dense.get('firing_rate'))}"
    rates += f", pruned {percent(record.pruned.get('firing_rate'))}"
    return Figure(*head, caption, f"Firing rate of the whole net: {rates}.", spec)


def _links(names: Sequence[str], dense: dict[str, Row], pruned: dict[str, Row]) -> Spec:
    x: list[float | None] = []
    y: list[int | None] = []
    for index, name in enumerate(names):
        ends = [_entry(rows, name, "firing_rate") for rows in (dense, pruned)]
        if all(is_number(end) for end in ends):
            x += [100 * ends[0], 100 * ends[1], None]
            y += [index, index, None]
    line = {"color": "@muted", "width": 1.5}
    links = {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line}
    return {**links, "hoverinfo": "skip", "showlegend": False}


def _synops(record: RunRecord) -> Figure:
    head = ("synops", "SynOps per layer")
    caption = (
        "Synaptic operations of one sample over all T time steps: accumulations where the operand "
        "is spikes, multiply-accumulations where it is not (see the hover text)."
    )
    dense, pruned = record.layers("dense"), record.layers("pruned")
    names = list(dict.fromkeys([*dense, *pruned]))
    counts = [_entry(rows, name, "synops") for rows in (dense, pruned) for name in names]
    if not any(is_number(count) for count in counts):
        return absent(*head, caption, "metrics.json holds no SynOps per layer.")
    traces = []
    for label, rows in (("dense", dense), ("pruned", pruned)):
        data = [[safe(name), _operand(rows, name)] for name in names]
        hover = f"%{{customdata[0]}}<br>{label}: %{{x:,.0f}} %{{customdata[1]}}"
        values = [_entry(rows, name, "synops") for name in names]
        traces.append(bars(values, label, f"@{label}", hover=hover, data=data))
    traces[0]["marker"]["pattern"] = HATCH
    spec = strips(names, traces, title="SynOps per sample", each=30)
    return Figure(*head, caption, _risen(names, dense, pruned), spec)


def _risen(names: Sequence[str], dense: dict[str, Row], pruned: dict[str, Row]) -> str:
    rise = {
        name: (_entry(pruned, name, "synops") or 0) - (_entry(dense, name, "synops") or 0)
        for name in names
    }
    count = sum(value > 0 for value in rise.values())
    if not count:
        return "No layer has more than in the dense net."
    worst = max(rise, key=rise.__getitem__)
    return (
        f"More than dense in {count} of {len(names)} layers, most so in {worst} "
        f"(+{amount(rise[worst])} a sample)."
    )


def _classes(record: RunRecord) -> Figure:
    head = ("classes", "Accuracy change per class")
    caption = "Test accuracy of the pruned net minus that of the dense net, in percentage points."
    rows = class_changes(record)
    if not rows:
        return absent(*head, caption, "metrics.json holds no accuracy per class of both nets.")
    shown: list[tuple[str, float | None, float | None]] = [*rows]
    if len(rows) > _MANY_CLASSES:
        gap = f"… {len(rows) - 2 * _EXTREMES} classes …"
        shown = [*rows[:_EXTREMES], (gap, None, None), *rows[-_EXTREMES:]]
        caption += (
            f" The {_EXTREMES} classes that lost most and the {_EXTREMES} that gained most of "
            f"{len(rows)}; all are in the table of classes."
        )
    spec = strips([row[0] for row in shown], [_change_bars(shown)], title="points")
    spec["layout"]["xaxis"]["zerolinecolor"] = "@muted"
    worst, best = rows[0], rows[-1]
    summary = (
        f"{sum(after < before for _, before, after in rows)} of {len(rows)} classes lost. "
        f"The extremes: {worst[0]} ({points(worst[2] - worst[1])}) "
        f"and {best[0]} ({points(best[2] - best[1])})."
    )
    return Figure(*head, caption, summary, spec)


def _change_bars(rows: Sequence[tuple[str, float | None, float | None]]) -> Spec:
    data: list[list[Any]] = []
    change: list[float | None] = []
    for name, before, after in rows:
        known = is_number(before) and is_number(after)
        data.append([safe(name), 100 * (before or 0), 100 * (after or 0)])
        change.append(round(100 * ((after or 0) - (before or 0)), 4) if known else None)
    hover = "%{customdata[0]}: %{x:+.2f} points<br>"
    hover += "dense %{customdata[1]:.2f} %, pruned %{customdata[2]:.2f} %"
    trace = bars(change, "change", "", hover=hover, data=data)
    trace["marker"]["color"] = ["@regrown" if (value or 0) < 0 else "@pruned" for value in change]
    return trace


def _entry(rows: dict[str, Row], name: str, key: str) -> Any:
    return (rows.get(name) or {}).get(key)


def _operand(rows: dict[str, Row], name: str) -> str:
    return "MACs" if _entry(rows, name, "operand") == "analog" else "ACs"
