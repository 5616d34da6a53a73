"""Figures over the pruning events: where regrowth went and what became of it."""

from collections.abc import Sequence

from spikeprune.lab.report.number_words import amount, in_percent, is_number, percent
from spikeprune.lab.report.plotly_parts import (
    HATCH,
    Figure,
    Spec,
    absent,
    layer_axis,
    layout,
    safe,
    strip_height,
)
from spikeprune.lab.report.run_record import Row, RunRecord

_MANY_EVENTS = 20


def regrowth_figures(record: RunRecord) -> tuple[Figure, ...]:
    """Return regrowth per layer and event, and survival with the two kinds of return."""
    return _regrowth(record), _survival(record)


def _regrowth(record: RunRecord) -> Figure:
    head = ("regrowth", "Where regrowth went")
    caption = (
        f"Share of each event's regrown {record.unit} that a layer got, in %. "
        "Rows: layers from the image to the output."
    )
    if reason := _no_regrowth(record):
        return absent(*head, caption, reason)
    names = list(dict.fromkeys(name for event in record.events for name in _layers(event)))
    counts = [[_regrown(event, name) for event in record.events] for name in names]
    totals = [sum(column) for column in zip(*counts, strict=True)]
    if not sum(totals):
        return absent(*head, caption, "The run did not note regrowth per layer.")
    share = [[_share(n, total) for n, total in zip(row, totals, strict=True)] for row in counts]
    trace = {
        "type": "heatmap",
        "x": list(range(1, len(totals) + 1)),
        "y": list(range(len(names))),
        "z": share,
        "zmin": 0,
        "xgap": 1 if len(totals) < _MANY_EVENTS else 0,
        "ygap": 1,
        "colorscale": [[step / 4, f"@heat-{step}"] for step in range(5)],
        "colorbar": {"thickness": 10, "outlinewidth": 0, "ticksuffix": " %", "len": 1},
        "customdata": [
            [[safe(name), n] for n in row] for name, row in zip(names, counts, strict=True)
        ],
        "hovertemplate": "%{customdata[0]}<br>event %{x}: %{z:.1f} %"
        f" (%{{customdata[1]:,}} {record.unit})<extra></extra>",
    }
    axes = {"xaxis": {**_event_axis(len(totals)), "showgrid": False}, "yaxis": layer_axis(names)}
    spec = {"data": [trace], "layout": layout(strip_height(len(names)), **axes)}
    return Figure(*head, caption, _where(names, counts), spec, wide=True)


def _survival(record: RunRecord) -> Figure:
    head = ("survival", "What became of the regrown")
    caption = (
        f"Above: share of the {record.unit} regrown at this event that the next event keeps on "
        "their own merit. Below: who came back, dropped in this very event or dead before it."
    )
    if reason := _no_regrowth(record):
        return absent(*head, caption, reason)
    numbers = list(range(1, len(record.events) + 1))
    line = _survival_line(record, numbers)
    axes = {
        "xaxis": {**_event_axis(len(numbers)), "anchor": "y2"},
        "yaxis": {"domain": [0.58, 1], "range": [0, 105], "title": {"text": "survival, %"}},
        "yaxis2": {"domain": [0, 0.46], "title": {"text": record.unit}},
    }
    note = {
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.79,
        "text": "no survival: it takes two events",
        "showarrow": False,
        "font": {"color": "@muted"},
    }
    spec = {
        "data": [*line, *_returns(record, numbers)],
        "layout": layout(400, barmode="stack", annotations=[] if line else [note], **axes),
    }
    return Figure(*head, caption, _fate(record), spec)


def _survival_line(record: RunRecord, numbers: list[int]) -> list[Spec]:
    survival = [in_percent(event.get("survival")) for event in record.events]
    if not any(is_number(value) for value in survival):
        return []
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": numbers,
            "y": survival,
            "name": "survival",
            "line": {"color": "@regrown"},
            "hovertemplate": "event %{x}: %{y:.1f} % survived<extra></extra>",
        }
    ]


def _returns(record: RunRecord, numbers: list[int]) -> list[Spec]:
    return [
        {
            "type": "bar",
            "x": numbers,
            "y": [event.get(key) for event in record.events],
            "yaxis": "y2",
            "name": name,
            "marker": marker,
            "hovertemplate": f"event %{{x}}: %{{y:,}} {record.unit} {name}<extra></extra>",
        }
        for key, name, marker in (
            ("dropped_and_returned", "dropped and returned", {"color": "@pruned"}),
            ("dead_and_returned", "dead and returned", {"color": "@dense", "pattern": HATCH}),
        )
    ]


def _no_regrowth(record: RunRecord) -> str:
    if not record.events:
        return "The run noted no pruning event."
    if not any(event.get("regrown") for event in record.events):
        times = f"any of its {len(record.events)} events" if len(record.events) > 1 else "its event"
        return f"This run brought nothing back: no regrown {record.unit} at {times}."
    return ""


def _layers(event: Row) -> Row:
    return event.get("layers") or {}


def _regrown(event: Row, name: str) -> int:
    return int((_layers(event).get(name) or {}).get("regrown") or 0)


def _share(part: int, total: int) -> float | None:
    return round(100 * part / total, 2) if total else None


def _event_axis(count: int) -> Spec:
    axis: Spec = {"title": {"text": "pruning event"}, "range": [0.4, count + 0.6]}
    few = {"tickvals": list(range(1, count + 1))} if count <= 10 else {"tickformat": "d"}
    return {**axis, **few}


def _where(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    sums = [sum(row) for row in counts]
    total, top = sum(sums), max(range(len(names)), key=sums.__getitem__)
    half = max(1, len(names) // 2)
    return (
        f"Over all events {percent(sum(sums[:half]) / total, 0)} of regrowth went to the first "
        f"{half} of {len(names)} layers; most to {names[top]} ({percent(sums[top] / total, 0)})."
    )


def _fate(record: RunRecord) -> str:
    mean = (record.metrics.get("regrowth") or {}).get("survival_mean")
    sums = {
        key: sum(event.get(key) or 0 for event in record.events)
        for key in ("regrown", "dropped_and_returned", "dead_and_returned")
    }
    return (
        f"Of {amount(sums['regrown'])} regrown {record.unit}, "
        f"{amount(sums['dropped_and_returned'])} had been dropped in the same event and "
        f"{amount(sums['dead_and_returned'])} were dead before it. "
        f"Mean survival: {percent(mean, 1) if is_number(mean) else 'undefined'}."
    )
