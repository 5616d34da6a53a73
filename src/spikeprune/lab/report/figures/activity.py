"""Figures of the net at work, dense and pruned: firing rates, SynOps, accuracy per class."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from spikeprune.lab.report.number_words import amount, is_number, percent, points
from spikeprune.lab.report.plotly_parts import (
    Figure,
    Spec,
    Values,
    bars,
    change_strips,
    dots,
    safe,
    scatter,
    strips,
)
from spikeprune.lab.report.run_record import RunRecord
from spikeprune.lab.report.run_rows import LayerMetrics

_MANY_CLASSES = 30
_EXTREMES = 12


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


def firing_figure(record: RunRecord) -> Figure:
    """Return the firing rates per layer, a marker for each net and a line between the two."""
    figure = Figure(
        "firing",
        "Firing rates per layer",
        "Firing rate of the neurons that a layer feeds: share that fires in a time step, mean "
        "over the test set, in %. The classifier feeds none.",
    )
    dense, pruned = record.layers("dense"), record.layers("pruned")
    before, after = _firing_rates(dense), _firing_rates(pruned)
    names = [name for name in {**dense, **pruned} if name in before or name in after]
    if not names:
        return replace(figure, reason="metrics.json holds no firing rate per layer.")
    traces = [_links(names, before, after)]
    for net, rates, symbol in (("dense", before, "circle-open"), ("pruned", after, "diamond")):
        values = [rates.get(name) for name in names]
        hover = f"{net}: %{{x:.2f}} %"
        traces.append(dots(values, net, f"@{net}", symbol, hover=hover, names=names))
    spec = strips(names, traces, title="firing rate, %")
    spec["layout"]["xaxis"]["rangemode"] = "tozero"
    whole = [percent(net.get("firing_rate")) for net in (record.dense, record.pruned)]
    summary = f"Firing rate of the whole net: dense {whole[0]}, pruned {whole[1]}."
    return replace(figure, summary=summary, spec=spec)


def _firing_rates(layers: Mapping[str, LayerMetrics]) -> dict[str, float]:
    """Return the known firing rates by layer, in per cent."""
    rates = {name: row.get("firing_rate") for name, row in layers.items()}
    return {name: 100 * rate for name, rate in rates.items() if is_number(rate)}


def _links(names: Sequence[str], before: Mapping[str, float], after: Mapping[str, float]) -> Spec:
    x: list[float | None] = []
    y: list[int | None] = []
    for index, name in enumerate(names):
        if name in before and name in after:
            x += [before[name], after[name], None]
            y += [index, index, None]
    line = {"color": "@muted", "width": 1.5}
    return scatter("lines", x, y, line=line, hoverinfo="skip", showlegend=False)


def synops_figure(record: RunRecord) -> Figure:
    """Return the synaptic operations per layer, a bar for each net."""
    figure = Figure(
        "synops",
        "SynOps per layer",
        "Synaptic operations of one sample over all T time steps: accumulations if the operand "
        "is spikes, multiply-accumulations if not (see the hover text).",
    )
    dense, pruned = record.layers("dense"), record.layers("pruned")
    names = list({**dense, **pruned})
    if not any(is_number(row.get("synops")) for row in (*dense.values(), *pruned.values())):
        return replace(figure, reason="metrics.json holds no SynOps per layer.")
    traces, counts = [], {}
    for net, layers in (("dense", dense), ("pruned", pruned)):
        rows = [layers.get(name, LayerMetrics()) for name in names]
        kinds = ["MACs" if row.get("operand") == "analog" else "ACs" for row in rows]
        data = [[safe(name), kind] for name, kind in zip(names, kinds, strict=True)]
        hover = f"%{{customdata[0]}}<br>{net}: %{{x:,.0f}} %{{customdata[1]}}"
        counts[net] = [row.get("synops") for row in rows]
        hatched = net == "dense"
        traces.append(bars(counts[net], net, f"@{net}", hover=hover, data=data, hatched=hatched))
    spec = strips(names, traces, title="SynOps per sample", each=30)
    return replace(
        figure, summary=_risen_synops(names, counts["dense"], counts["pruned"]), spec=spec
    )


def _risen_synops(names: Sequence[str], before: Values, after: Values) -> str:
    rise = {name: (b or 0) - (a or 0) for name, a, b in zip(names, before, after, strict=True)}
    count = sum(value > 0 for value in rise.values())
    if not count:
        return "No layer has more than in the dense net."
    worst = max(rise, key=rise.__getitem__)
    return (
        f"More than dense in {count} of {len(names)} layers, most so in {worst} "
        f"(+{amount(rise[worst])} a sample)."
    )


def classes_figure(record: RunRecord) -> Figure:
    """Return the accuracy change per class; of many classes only the extremes."""
    figure = Figure(
        "classes",
        "Accuracy change per class",
        "Test accuracy of the pruned net minus that of the dense net, in percentage points.",
    )
    rows = class_changes(record)
    if not rows:
        return replace(figure, reason="metrics.json holds no accuracy per class of both nets.")
    shown: list[tuple[str, float | None, float | None]] = [*rows]
    caption = figure.caption
    if len(rows) > _MANY_CLASSES:
        gap = f"… {len(rows) - 2 * _EXTREMES} classes …"
        shown = [*rows[:_EXTREMES], (gap, None, None), *rows[-_EXTREMES:]]
        caption += (
            f" The {_EXTREMES} classes that lost most and the {_EXTREMES} that gained most of "
            f"{len(rows)}; all are in the table of classes."
        )
    data = [[safe(name), 100 * (before or 0), 100 * (after or 0)] for name, before, after in shown]
    changes = [
        None if before is None or after is None else round(100 * (after - before), 4)
        for _, before, after in shown
    ]
    hover = "%{customdata[0]}: %{x:+.2f} points<br>"
    hover += "dense %{customdata[1]:.2f} %, pruned %{customdata[2]:.2f} %"
    spec = change_strips([row[0] for row in shown], changes, hover=hover, data=data)
    worst, best = rows[0], rows[-1]
    summary = (
        f"{sum(after < before for _, before, after in rows)} of {len(rows)} classes lost. "
        f"The extremes: {worst[0]} ({points(worst[2] - worst[1])}) "
        f"and {best[0]} ({points(best[2] - best[1])})."
    )
    return replace(figure, caption=caption, summary=summary, spec=spec)
