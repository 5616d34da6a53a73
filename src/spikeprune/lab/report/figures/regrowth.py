"""Figures over the pruning events: regrowth per layer, and its survival."""

from collections.abc import Sequence
from dataclasses import replace

from spikeprune.lab.report.number_words import amount, in_percent, is_number, percent
from spikeprune.lab.report.plotly_parts import HATCH, Figure, Spec, layout, safe, scatter, strips
from spikeprune.lab.report.run_record import RunRecord

_MANY_EVENTS = 20


def regrowth_figure(record: RunRecord) -> Figure:
    """Return the share of each event's regrowth that went to each layer."""
    figure = Figure(
        "regrowth",
        "Where regrowth went",
        f"Share of each event's regrown {record.unit} that a layer got, in %. "
        "Rows: layers from the image to the output.",
    )
    if reason := _no_regrowth(record):
        return replace(figure, reason=reason)
    layers = [event.get("layers") or {} for event in record.events]
    names = list(dict.fromkeys(name for event in layers for name in event))
    counts = [[event.get(name, {}).get("regrown") or 0 for event in layers] for name in names]
    if not any(sum(row) for row in counts):
        return replace(figure, reason="The run did not note regrowth per layer.")
    spec = strips(names, [_heatmap(names, counts, record.unit)])
    spec["layout"]["xaxis"] |= {**_event_axis(len(layers)), "showgrid": False}
    return replace(figure, summary=_by_depth(names, counts), spec=spec, wide=True)


def _heatmap(names: Sequence[str], counts: Sequence[Sequence[int]], unit: str) -> Spec:
    """Return the shares of `counts`, `[layer, event]`, in each event's total."""
    totals = [sum(column) for column in zip(*counts, strict=True)]
    shares = [
        [round(100 * n / total, 2) if total else None for n, total in zip(row, totals, strict=True)]
        for row in counts
    ]
    data = [[[safe(name), n] for n in row] for name, row in zip(names, counts, strict=True)]
    return {
        "type": "heatmap",
        "x": list(range(1, len(totals) + 1)),
        "y": list(range(len(names))),
        "z": shares,
        "zmin": 0,
        "xgap": 1 if len(totals) < _MANY_EVENTS else 0,
        "ygap": 1,
        "colorscale": [[step / 4, f"@heat-{step}"] for step in range(5)],
        "colorbar": {"thickness": 10, "outlinewidth": 0, "ticksuffix": " %", "len": 1},
        "customdata": data,
        "hovertemplate": "%{customdata[0]}<br>event %{x}: %{z:.1f} %"
        f" (%{{customdata[1]:,}} {unit})<extra></extra>",
    }


def _by_depth(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    sums = [sum(row) for row in counts]
    total, top = sum(sums), max(range(len(names)), key=sums.__getitem__)
    half = max(1, len(names) // 2)
    return (
        f"Over all events {percent(sum(sums[:half]) / total, 0)} of regrowth went to the first "
        f"{half} of {len(names)} layers; most to {names[top]} ({percent(sums[top] / total, 0)})."
    )


def survival_figure(record: RunRecord) -> Figure:
    """Return survival per event, and whether the regrown were dropped or dead before."""
    figure = Figure(
        "survival",
        "Survival of the regrown",
        f"Above: share of the {record.unit} regrown at this event that the next event keeps by "
        "their saliency. Below: regrown at this event, dropped in the same event or dead before "
        "it.",
    )
    if reason := _no_regrowth(record):
        return replace(figure, reason=reason)
    numbers = list(range(1, len(record.events) + 1))
    survival = [in_percent(event.get("survival")) for event in record.events]
    drawn, notes = _return_bars(record, numbers), []
    if any(is_number(value) for value in survival):
        hover = "event %{x}: %{y:.1f} % survived<extra></extra>"
        look = {"name": "survival", "line": {"color": "@regrown"}, "hovertemplate": hover}
        drawn.insert(0, scatter("lines+markers", numbers, survival, **look))
    else:
        place = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.79}
        text = {"text": "no survival: it takes two events", "font": {"color": "@muted"}}
        notes = [{**place, **text, "showarrow": False}]
    axes = {
        "xaxis": {**_event_axis(len(numbers)), "anchor": "y2"},
        "yaxis": {"domain": [0.58, 1], "range": [0, 105], "title": {"text": "survival, %"}},
        "yaxis2": {"domain": [0, 0.46], "title": {"text": record.unit}},
    }
    spec = {"data": drawn, "layout": layout(400, barmode="stack", annotations=notes, **axes)}
    return replace(figure, summary=_survival_summary(record), spec=spec)


def _return_bars(record: RunRecord, numbers: list[int]) -> list[Spec]:
    dropped = [event.get("dropped_and_returned") for event in record.events]
    dead = [event.get("dead_and_returned") for event in record.events]
    traces = []
    for counts, name, marker in (
        (dropped, "dropped and returned", {"color": "@pruned"}),
        (dead, "dead and returned", {"color": "@dense", "pattern": HATCH}),
    ):
        hover = f"event %{{x}}: %{{y:,}} {record.unit} {name}<extra></extra>"
        look = {"yaxis": "y2", "name": name, "marker": marker, "hovertemplate": hover}
        traces.append({"type": "bar", "x": numbers, "y": counts, **look})
    return traces


def _survival_summary(record: RunRecord) -> str:
    mean = (record.metrics.get("regrowth") or {}).get("survival_mean")
    regrown = sum(event.get("regrown") or 0 for event in record.events)
    dropped = sum(event.get("dropped_and_returned") or 0 for event in record.events)
    dead = sum(event.get("dead_and_returned") or 0 for event in record.events)
    return (
        f"Of {amount(regrown)} regrown {record.unit}, {amount(dropped)} had been dropped in the "
        f"same event and {amount(dead)} were dead before it. "
        f"Mean survival: {percent(mean, 1) if is_number(mean) else 'undefined'}."
    )


def _no_regrowth(record: RunRecord) -> str:
    """Return why there is no regrowth to draw; empty if there is some."""
    if not record.events:
        return "The run noted no pruning event."
    if any(event.get("regrown") for event in record.events):
        return ""
    times = f"any of its {len(record.events)} events" if len(record.events) > 1 else "its event"
    return f"This run brought nothing back: no regrown {record.unit} at {times}."


def _event_axis(count: int) -> Spec:
    ticks = {"tickvals": list(range(1, count + 1))} if count <= 10 else {"tickformat": "d"}
    return {"title": {"text": "pruning event"}, "range": [0.4, count + 0.6], **ticks}
