"""Figures of the net's structure: density, criticality and cut channels per layer."""

from dataclasses import replace

from spikeprune.lab.report.number_words import amount, is_number, percent
from spikeprune.lab.report.plotly_parts import Figure, Spec, bars, safe, strips
from spikeprune.lab.report.run_record import RunRecord

_MANY_POINTS = 2500


def density_figure(record: RunRecord) -> Figure:
    """Return the density per layer after the last event, kept and regrown apart."""
    figure = Figure(
        "density",
        f"Live {record.unit} per layer",
        f"Density of a layer after the last event: share of its {record.unit} that is live, in %.",
    )
    rows = _last_counts(record)
    if not rows:
        return _density_without_events(record, figure)
    hover = "%{customdata[0]}<br>kept %{customdata[1]:,}, regrown %{customdata[2]:,}"
    hover += f" of %{{customdata[3]:,}} {record.unit}"
    data = [[safe(name), *counts] for name, counts in rows.items()]
    kept_shares = [100 * kept / total for kept, _, total in rows.values()]
    regrown_shares = [100 * regrown / total for _, regrown, total in rows.values()]
    traces = [
        bars(kept_shares, "kept", "@pruned", hover=hover, data=data),
        bars(regrown_shares, "regrown", "@regrown", hover=hover, data=data, hatched=True),
    ]
    density = {name: (kept + regrown) / total for name, (kept, regrown, total) in rows.items()}
    high, low = max(density, key=density.__getitem__), min(density, key=density.__getitem__)
    summary = f"Densest layer: {high} ({percent(density[high], 1)}); "
    summary += f"sparsest: {low} ({percent(density[low], 1)})."
    return replace(figure, summary=summary, spec=strips(list(rows), traces, stacked=True))


def _last_counts(record: RunRecord) -> dict[str, tuple[int, int, int]]:
    """Return kept, regrown and all weights by layer, of the last event that noted them."""
    for event in reversed(record.events):
        rows = {}
        for name, row in (event.get("layers") or {}).items():
            live, regrown, total = row.get("live", 0), row.get("regrown", 0), row.get("total", 0)
            if total:
                rows[name] = (live - regrown, regrown, total)
        if rows:
            return rows
    return {}


def _density_without_events(record: RunRecord, figure: Figure) -> Figure:
    caption = "Share of a layer's original weights that are not zero in the final net, in %."
    density = {name: row.get("density") for name, row in record.layers("pruned").items()}
    known = {name: value for name, value in density.items() if is_number(value)}
    if not known:
        reason = "The run noted neither pruning events nor densities."
        return replace(figure, caption=caption, reason=reason)
    shares, hover = [100 * value for value in known.values()], "%{customdata[0]}: %{x:.2f} %"
    data = [[safe(name), value] for name, value in known.items()]
    trace = bars(shares, "live", "@pruned", hover=hover, data=data)
    caption += " The run noted no event, so kept and regrown cannot be told apart."
    return replace(figure, caption=caption, spec=strips(list(known), [trace]))


def criticality_figure(record: RunRecord) -> Figure:
    """Return the channels' criticality at the last event, a box for each spiking layer."""
    figure = Figure(
        "criticality",
        "Criticality of the channels",
        "Score of each channel at the last event, per spiking layer; 1 = always at the threshold. "
        "Box: quartiles; dots: channels.",
    )
    scores = {}
    for name, values in (record.metrics.get("criticality") or {}).items():
        if known := [round(value, 4) for value in values if is_number(value)]:
            scores[name] = known
    if not scores:
        method = record.metrics["method"]
        return replace(figure, reason=f"Method “{method}” scored no channel in this run.")
    points = "all" if sum(map(len, scores.values())) <= _MANY_POINTS else "outliers"
    traces = [_box(row, name, scores[name], points) for row, name in enumerate(scores)]
    medians = {name: sorted(values)[len(values) // 2] for name, values in scores.items()}
    high, low = max(medians, key=medians.__getitem__), min(medians, key=medians.__getitem__)
    summary = f"Highest median: {high} ({medians[high]:.3f}); lowest: {low} ({medians[low]:.3f})."
    return replace(figure, summary=summary, spec=strips(list(scores), traces, title="criticality"))


def _box(index: int, name: str, values: list[float], points: str) -> Spec:
    marker = {"color": "@pruned", "size": 3, "opacity": 0.45}
    dots = {"boxpoints": points, "jitter": 0.6, "pointpos": 0, "marker": marker}
    box = {"width": 0.6, "line": {"color": "@ink", "width": 1}, "fillcolor": "rgba(0,0,0,0)"}
    words = {"name": safe(name), "hoverinfo": "x+name", "showlegend": False}
    return {"type": "box", "orientation": "h", "x": values, "y0": index, **box, **dots, **words}


def cut_figure(record: RunRecord) -> Figure:
    """Return the channels that were kept and cut per layer."""
    figure = Figure(
        "cut",
        "Channels cut per layer",
        "Output channels of each layer before and after the dead ones were cut out.",
    )
    cut = record.metrics.get("cut") or {}
    before, after = cut.get("channels_before") or {}, cut.get("channels_after") or {}
    gone = {name: before[name] - after[name] for name in before if name in after}
    if not gone:
        return replace(figure, reason="The run did not note channels per layer.")
    if not any(gone.values()):
        return replace(figure, reason="No channel was cut: the tensors keep their shapes.")
    data = [[safe(name), after[name], count, before[name]] for name, count in gone.items()]
    hover = "%{customdata[0]}<br>%{customdata[1]:,} of %{customdata[3]:,} channels kept"
    traces = [
        bars([after[name] for name in gone], "kept", "@pruned", hover=hover, data=data),
        bars(gone.values(), "cut", "@faint", hover=hover, data=data, hatched=True),
    ]
    caption, total = figure.caption, sum(before[name] for name in gone)
    summary = f"{amount(sum(gone.values()))} of {amount(total)} channels were cut."
    if stay := cut.get("kept_though_inputs_dead"):
        summary += f" {len(stay)} stay though all their inputs are dead: they may still fire."
    if is_number(difference := cut.get("masked_vs_cut_max_abs_diff")):
        caption += f" Largest difference of any output to the masked net: {difference:.2g}."
    spec = strips(list(gone), traces, stacked=True, title="channels")
    return replace(figure, caption=caption, summary=summary, spec=spec)
