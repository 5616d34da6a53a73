"""Figures of the net's structure: what lives, what is critical, what was cut."""

from spikeprune.lab.report.number_words import amount, is_number, percent
from spikeprune.lab.report.plotly_parts import HATCH, Figure, absent, bars, safe, strips
from spikeprune.lab.report.run_record import Row, RunRecord

_MANY_POINTS = 2500


def net_figures(record: RunRecord) -> tuple[Figure, ...]:
    """Return density, criticality and cut channels, per layer."""
    return _density(record), _criticality(record), _cut(record)


def _density(record: RunRecord) -> Figure:
    head = ("density", f"Live {record.unit} per layer")
    rows = _last_layers(record)
    if not rows:
        return _density_only(record, head)
    caption = f"Share of a layer's {record.unit} that live after the last event, in %."
    data = [
        [safe(name), row["live"] - row["regrown"], row["regrown"], row["total"]]
        for name, row in rows.items()
    ]
    hover = "%{customdata[0]}<br>kept %{customdata[1]:,}, regrown %{customdata[2]:,}"
    hover += f" of %{{customdata[3]:,}} {record.unit}"
    kept = bars([100 * row[1] / row[3] for row in data], "kept", "@pruned", hover=hover, data=data)
    grown = bars(
        [100 * row[2] / row[3] for row in data], "regrown", "@regrown", hover=hover, data=data
    )
    grown["marker"]["pattern"] = HATCH
    densest = max(data, key=lambda row: (row[1] + row[2]) / row[3])
    sparsest = min(data, key=lambda row: (row[1] + row[2]) / row[3])
    summary = (
        f"Densest layer: {densest[0]} ({percent((densest[1] + densest[2]) / densest[3], 1)}); "
        f"sparsest: {sparsest[0]} ({percent((sparsest[1] + sparsest[2]) / sparsest[3], 1)})."
    )
    return Figure(*head, caption, summary, strips(list(rows), [kept, grown], stacked=True))


def _density_only(record: RunRecord, head: tuple[str, str]) -> Figure:
    caption = "Share of a layer's original weights that are not zero in the final net, in %."
    rows = {
        name: row for name, row in record.layers("pruned").items() if is_number(row.get("density"))
    }
    if not rows:
        return absent(*head, caption, "The run noted neither pruning events nor densities.")
    data = [[safe(name), row["density"]] for name, row in rows.items()]
    trace = bars(
        [100 * row[1] for row in data],
        "live",
        "@pruned",
        hover="%{customdata[0]}: %{x:.2f} %",
        data=data,
    )
    caption += " The run noted no event, so kept and regrown cannot be told apart."
    return Figure(*head, caption, "", strips(list(rows), [trace]))


def _criticality(record: RunRecord) -> Figure:
    head = ("criticality", "Criticality of the channels")
    caption = (
        "Score of each channel at the last event, per spiking layer; 1 = always at the threshold. "
        "Box: quartiles; dots: channels."
    )
    scores = {
        str(name): [round(value, 4) for value in values if is_number(value)]
        for name, values in (record.metrics.get("criticality") or {}).items()
    }
    scores = {name: values for name, values in scores.items() if values}
    if not scores:
        return absent(
            *head, caption, f"Method “{record.metrics['method']}” scored no channel in this run."
        )
    few = sum(map(len, scores.values())) <= _MANY_POINTS
    traces = [
        {
            "type": "box",
            "orientation": "h",
            "x": values,
            "y0": index,
            "name": safe(name),
            "width": 0.6,
            "boxpoints": "all" if few else "outliers",
            "jitter": 0.6,
            "pointpos": 0,
            "marker": {"color": "@pruned", "size": 3, "opacity": 0.45},
            "line": {"color": "@ink", "width": 1},
            "fillcolor": "rgba(0,0,0,0)",
            "hoverinfo": "x+name",
            "showlegend": False,
        }
        for index, (name, values) in enumerate(scores.items())
    ]
    spec = strips(list(scores), traces, title="criticality")
    medians = {name: sorted(values)[len(values) // 2] for name, values in scores.items()}
    high, low = max(medians, key=medians.__getitem__), min(medians, key=medians.__getitem__)
    summary = f"Highest median: {high} ({medians[high]:.3f}); lowest: {low} ({medians[low]:.3f})."
    return Figure(*head, caption, summary, spec)


def _cut(record: RunRecord) -> Figure:
    head = ("cut", "Channels cut per layer")
    caption = "Output channels of each layer before and after the dead ones were cut out."
    cut = record.metrics.get("cut") or {}
    before, after = cut.get("channels_before") or {}, cut.get("channels_after") or {}
    names = [name for name in before if name in after]
    gone = {name: before[name] - after[name] for name in names}
    if not names:
        return absent(*head, caption, "The run did not note channels per layer.")
    if not any(gone.values()):
        return absent(*head, caption, "No channel was cut: the tensors keep their shapes.")
    data = [[safe(name), after[name], gone[name], before[name]] for name in names]
    hover = "%{customdata[0]}<br>%{customdata[1]:,} of %{customdata[3]:,} channels kept"
    left = bars([row[1] for row in data], "kept", "@pruned", hover=hover, data=data)
    lost = bars([row[2] for row in data], "cut", "@faint", hover=hover, data=data)
    lost["marker"]["pattern"] = HATCH
    spec = strips(names, [left, lost], stacked=True, title="channels")
    total = sum(before[name] for name in names)
    summary = f"{amount(sum(gone.values()))} of {amount(total)} channels were cut."
    if kept := cut.get("kept_though_inputs_dead"):
        summary += f" {len(kept)} stay though all their inputs are dead: they may still fire."
    if is_number(difference := cut.get("masked_vs_cut_max_abs_diff")):
        caption += f" Largest difference of any output to the masked net: {difference:.2g}."
    return Figure(*head, caption, summary, spec)


def _last_layers(record: RunRecord) -> dict[str, Row]:
    """Return the layers of the last event that noted any, by name, with their three counts."""
    for event in reversed(record.events):
        rows = {
            str(name): {key: int(row.get(key) or 0) for key in ("live", "total", "regrown")}
            for name, row in (event.get("layers") or {}).items()
        }
        rows = {name: row for name, row in rows.items() if row["total"]}
        if rows:
            return rows
    return {}
