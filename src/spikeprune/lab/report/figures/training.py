"""Figures over the epochs: validation accuracy, density, loss."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from spikeprune.lab.report.number_words import in_percent, is_number
from spikeprune.lab.report.plotly_parts import Figure, Spec, layout, scatter
from spikeprune.lab.report.run_record import RunRecord
from spikeprune.lab.report.run_rows import EpochRow

_MANY_EVENTS = 60


def accuracy_figure(record: RunRecord) -> Figure:
    """Return validation accuracy and density over the epochs, with the pruning events."""
    figure = Figure(
        "accuracy",
        "Validation accuracy and density while training",
        "Lines: validation accuracy. Steps: density; a triangle is a pruning event.",
    )
    curves = _curves(record, "validation_accuracy")
    if not curves:
        return replace(figure, reason="history.jsonl holds no epoch with a validation accuracy.")
    right_axis = {
        "title": {"text": "density, %"},
        "overlaying": "y",
        "side": "right",
        "range": [0, 105],
        "tickvals": [0, 25, 50, 75, 100],
        "showgrid": False,
    }
    figure = replace(figure, summary=_first_and_last(curves, " %"))
    left_axis = {"title": {"text": "validation accuracy, %"}}
    traces = curves + _density_steps(record)
    return _over_epochs(record, figure, traces, yaxis=left_axis, yaxis2=right_axis)


def loss_figure(record: RunRecord) -> Figure:
    """Return the training loss over the epochs, with the pruning events."""
    caption = "Mean training loss of each epoch. Dotted lines: pruning events."
    figure = Figure("loss", "Training loss", caption)
    curves = _curves(record, "loss")
    if not curves:
        return replace(figure, reason="history.jsonl holds no epoch with a loss.")
    figure = replace(figure, summary=_first_and_last(curves, ""))
    axis = {"title": {"text": "loss"}, "rangemode": "tozero"}
    return _over_epochs(record, figure, curves, yaxis=axis)


def _over_epochs(record: RunRecord, figure: Figure, traces: list[Spec], **axes: Spec) -> Figure:
    epochs = {"title": {"text": "epoch"}, "rangemode": "tozero"}
    marks = _event_marks(record)
    spec = layout(360, hovermode="x unified", xaxis=epochs, **axes, **marks)
    missing = [name for name, rows in _histories(record).items() if not rows]
    caption = figure.caption
    caption += f" No history of the {missing[0]} net in this folder." if missing else ""
    return replace(figure, caption=caption, spec={"data": traces, "layout": spec})


def _histories(record: RunRecord) -> dict[str, tuple[EpochRow, ...]]:
    return {"dense": record.stage("dense"), "pruned": record.stage("prune", "finetune")}


def _curves(record: RunRecord, key: Literal["validation_accuracy", "loss"]) -> list[Spec]:
    """Return a line over the epochs for each net that has values."""
    looks: dict[str, Spec] = {"dense": {"dash": "dash"}, "pruned": {"width": 2.5}}
    traces = []
    for name, rows in _histories(record).items():
        values = [row.get(key) for row in rows]
        if key == "validation_accuracy":
            values = [in_percent(value) for value in values]
        if any(is_number(value) for value in values):
            mode = "lines+markers" if len(values) < 2 else "lines"
            epochs = list(range(1, len(values) + 1))
            hover = "%{y:.4f}" if key == "loss" else "%{y:.2f} %"
            line = {"color": f"@{name}", **looks[name]}
            traces.append(scatter(mode, epochs, values, name=name, hovertemplate=hover, line=line))
    return traces


def _density_steps(record: RunRecord) -> list[Spec]:
    """Return the density at events and ends of epochs as one stepped line, if any is known."""
    epochs = _histories(record)["pruned"]
    events = zip(event_positions(record), record.events, strict=True)
    rows = [(x, row.get("density"), f" (event {n})") for n, (x, row) in enumerate(events, start=1)]
    rows += [(float(end), row.get("density"), "") for end, row in enumerate(epochs, start=1)]
    known = [row for row in rows if is_number(row[1])]
    known.sort(key=lambda row: row[0])  # stable: an epoch's density follows that of its events
    if not known:
        return []
    sizes = [9 if event else 0 for _, _, event in known]
    trace = scatter(
        "lines+markers",
        [x for x, _, _ in known],
        [in_percent(density) for _, density, _ in known],
        yaxis="y2",
        name="density",
        line={"color": "@regrown", "shape": "hv", "width": 1.5},
        marker={"symbol": "triangle-down", "size": sizes, "line": {"width": 0}},
        customdata=[event for _, _, event in known],
        hovertemplate="%{y:.2f} %%{customdata}",
    )
    return [trace]


def event_positions(record: RunRecord) -> list[float]:
    """Return the place of each pruning event on the epoch axis.

    Older runs noted only the number of an event's epoch: events of one epoch are spread over it.
    """
    epochs = [float(event.get("epoch") or 0) for event in record.events]
    positions = []
    for index, epoch in enumerate(epochs):
        if epoch.is_integer():
            rank = epochs[: index + 1].count(epoch)
            epoch = max(epoch - 1, 0) + rank / epochs.count(epoch)
        positions.append(epoch)
    return positions


def _event_marks(record: RunRecord) -> Spec:
    """Return vertical lines: pruning events (unless too many) and the start of fine-tuning."""
    positions = event_positions(record)
    shapes = [_line(x, "dot") for x in positions] if len(positions) <= _MANY_EVENTS else []
    border = len(record.stage("prune"))
    if not border or not record.stage("finetune"):
        return {"shapes": shapes}
    place = {"x": border, "xanchor": "left", "y": 0.02, "yref": "paper", "yanchor": "bottom"}
    font = {"color": "@muted", "size": 11}
    note = {"text": " fine-tuning →", "showarrow": False, "font": font, **place}
    return {"shapes": [*shapes, _line(border, "solid")], "annotations": [note]}


def _line(x: float, dash: str) -> Spec:
    place = {"x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "layer": "below"}
    line = {"color": "@muted", "width": 1, "dash": dash}
    return {"type": "line", "line": line, "opacity": 0.5, **place}


def _first_and_last(traces: Sequence[Spec], unit: str) -> str:
    return " ".join(
        f"{trace['name'].capitalize()}: {trace['y'][0]:.4g}{unit} in the first epoch, "
        f"{trace['y'][-1]:.4g}{unit} in the last."
        for trace in traces
        if is_number(trace["y"][0]) and is_number(trace["y"][-1])
    )
