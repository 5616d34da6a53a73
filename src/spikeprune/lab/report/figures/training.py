"""Figures over the epochs: validation accuracy, density, loss."""

from collections.abc import Sequence

from spikeprune.lab.report.number_words import in_percent, is_number
from spikeprune.lab.report.plotly_parts import Figure, Spec, absent, layout
from spikeprune.lab.report.run_record import Row, RunRecord

_MANY_EVENTS = 60


def training_figures(record: RunRecord) -> tuple[Figure, ...]:
    """Return validation accuracy with density, and loss, both with the pruning events marked."""
    return _accuracy(record), _loss(record)


def event_positions(record: RunRecord) -> list[float]:
    """Return where on the epoch axis each pruning event lies.

    Events know the epoch that they fell into; several of one epoch are spread over it in order.
    """
    epochs = [float(event.get("epoch") or 0) for event in record.events]
    positions = []
    for index, epoch in enumerate(epochs):
        if not epoch.is_integer():
            positions.append(epoch)
            continue
        rank = epochs[: index + 1].count(epoch)
        positions.append(max(epoch - 1, 0) + rank / epochs.count(epoch))
    return positions


def _accuracy(record: RunRecord) -> Figure:
    head = ("accuracy", "Validation accuracy and density while training")
    caption = "Lines: validation accuracy. Steps: density; a triangle is a pruning event."
    dense, pruned = record.stage("dense"), record.stage("prune", "finetune")
    traces = _curves(dense, pruned, "validation_accuracy", percentage=True)
    if not traces:
        return absent(*head, caption, "history.jsonl holds no epoch with a validation accuracy.")
    density = _density_steps(record, pruned)
    spec = {
        "data": traces + density,
        "layout": layout(
            360,
            hovermode="x unified",
            xaxis={"title": {"text": "epoch"}, "rangemode": "tozero"},
            yaxis={"title": {"text": "validation accuracy, %"}},
            yaxis2={
                "title": {"text": "density, %"},
                "overlaying": "y",
                "side": "right",
                "range": [0, 105],
                "tickvals": [0, 25, 50, 75, 100],
                "showgrid": False,
            },
            **_marks(record),
        ),
    }
    return Figure(*head, caption + _absentees(dense, pruned), _ends(traces, " %"), spec)


def _loss(record: RunRecord) -> Figure:
    head = ("loss", "Training loss")
    caption = "Mean training loss of each epoch. Dotted lines: pruning events."
    dense, pruned = record.stage("dense"), record.stage("prune", "finetune")
    traces = _curves(dense, pruned, "loss")
    if not traces:
        return absent(*head, caption, "history.jsonl holds no epoch with a loss.")
    axes = {
        "xaxis": {"title": {"text": "epoch"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "loss"}, "rangemode": "tozero"},
    }
    spec = {"data": traces, "layout": layout(360, hovermode="x unified", **axes, **_marks(record))}
    return Figure(*head, caption + _absentees(dense, pruned), _ends(traces, ""), spec)


def _curves(
    dense: Sequence[Row], pruned: Sequence[Row], key: str, *, percentage: bool = False
) -> list[Spec]:
    traces = []
    for name, rows, style in (
        ("dense", dense, {"line": {"color": "@dense", "dash": "dash"}}),
        ("pruned", pruned, {"line": {"color": "@pruned", "width": 2.5}}),
    ):
        values = [in_percent(row.get(key)) if percentage else row.get(key) for row in rows]
        if any(is_number(value) for value in values):
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers" if len(values) < 2 else "lines",
                    "x": list(range(1, len(values) + 1)),
                    "y": values,
                    "name": name,
                    "hovertemplate": "%{y:.2f} %" if percentage else "%{y:.4f}",
                    **style,
                }
            )
    return traces


def _density_steps(record: RunRecord, pruned: Sequence[Row]) -> list[Spec]:
    epochs = [(float(i), row.get("density"), 0) for i, row in enumerate(pruned, start=1)]
    positions = zip(event_positions(record), record.events, strict=True)
    events = [
        (x, event.get("density"), number) for number, (x, event) in enumerate(positions, start=1)
    ]
    both = [row for row in events + epochs if is_number(row[1])]
    rows = sorted(both, key=lambda row: row[0])  # an epoch tells the density after its events
    if not rows:
        return []
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": [row[0] for row in rows],
            "y": [in_percent(row[1]) for row in rows],
            "yaxis": "y2",
            "name": "density",
            "line": {"color": "@regrown", "shape": "hv", "width": 1.5},
            "marker": {
                "symbol": "triangle-down",
                "size": [9 if row[2] else 0 for row in rows],
                "line": {"width": 0},
            },
            "customdata": [f" (event {row[2]})" if row[2] else "" for row in rows],
            "hovertemplate": "%{y:.2f} %%{customdata}",
        }
    ]


def _marks(record: RunRecord) -> Spec:
    """Vertical lines: pruning events (unless there are too many) and the start of fine-tuning."""
    positions = event_positions(record)
    shapes = [_line(x, "dot") for x in positions] if len(positions) <= _MANY_EVENTS else []
    border, tuned = len(record.stage("prune")), record.stage("finetune")
    if not border or not tuned:
        return {"shapes": shapes}
    note = {
        "x": border,
        "y": 0.02,
        "yref": "paper",
        "yanchor": "bottom",
        "xanchor": "left",
        "text": " fine-tuning →",
        "showarrow": False,
        "font": {"color": "@muted", "size": 11},
    }
    return {"shapes": [*shapes, _line(border, "solid")], "annotations": [note]}


def _line(x: float, dash: str) -> Spec:
    return {
        "type": "line",
        "x0": x,
        "x1": x,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "layer": "below",
        "line": {"color": "@muted", "width": 1, "dash": dash},
        "opacity": 0.5,
    }


def _absentees(dense: Sequence[Row], pruned: Sequence[Row]) -> str:
    missing = [name for name, rows in (("dense", dense), ("pruned", pruned)) if not rows]
    return f" No history of the {missing[0]} net in this folder." if missing else ""


def _ends(traces: Sequence[Spec], unit: str) -> str:
    ends = [
        f"{trace['name'].capitalize()}: {trace['y'][0]:.4g}{unit} in the first epoch, "
        f"{trace['y'][-1]:.4g}{unit} in the last."
        for trace in traces
        if is_number(trace["y"][0]) and is_number(trace["y"][-1])
    ]
    return " ".join(ends)
