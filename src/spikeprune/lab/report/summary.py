"""Texts and tables of the report: headline, cards, settings, layers, cost."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from spikeprune.lab.report.html import TableCell
from spikeprune.lab.report.number_words import (
    MISSING,
    amount,
    budget_name,
    change,
    duration,
    energy,
    is_number,
    percent,
    points,
    size,
)
from spikeprune.lab.report.run_record import RunRecord
from spikeprune.lab.report.run_rows import LayerMetrics
from spikeprune.science.cost import FP32_BYTES

_LATENCY_NOISE = 0.05
_PRECISIONS = {"bf16": "bf16 in training steps (autocast), fp32 in all else", "fp32": "fp32"}
_OPERANDS = {"spikes": "spikes", "analog": "analogue"}
_INPUTS = {"static": "(static images)", "events": "(event frames)"}


@dataclass(frozen=True)
class Card:
    """One quantity before and after pruning; `verdict` is better, worse, same or unknown."""

    label: str
    before: str
    after: str
    delta: str
    verdict: str
    note: str = ""


def title(record: RunRecord) -> str:
    """Return the report's heading: net, data, target."""
    data, model = record.metrics["data"], record.metrics["model"]
    head = f"{model.get('name')} on {data.get('label') or data.get('name')}"
    return ", ".join(filter(None, (head, _target(record))))


def _target(record: RunRecord) -> str:
    target = record.metrics.get("target") or {}
    if not is_number(sparsity := target.get("sparsity")):
        return ""
    within = cast(Mapping[str, float], target.get("within") or {})
    further = "".join(
        f", at most {100 * share:.4g} % of the {budget_name(unit)}"
        for unit, share in within.items()
    )
    unit = budget_name(target.get("budget") or record.unit)
    return f"{100 * sparsity:.4g} % {'less' if unit == 'energy' else 'fewer'} {unit}{further}"


def cards(record: RunRecord) -> tuple[Card, ...]:
    """Return the cards for accuracy, weights, SynOps, energy and latency.

    Nothing of a run with a dead net is better: a net that computes nothing is cheap.
    """
    energies = _pair(record, "energy_nj_per_sample")
    found = (
        _accuracy(record),
        _weights(record),
        _synops(record),
        _card("Energy", energies, energy, "per sample; a model, not a measurement"),
        _latency(record),
    )
    if not record.warnings:
        return found
    return tuple(replace(c, verdict="unknown") if c.verdict == "better" else c for c in found)


def headline(record: RunRecord) -> str:
    """Return the result in one sentence, including what got worse."""
    gap = _accuracy_change(record)
    if gap is None:
        first = "Test accuracy was not measured for both nets"
    elif round(100 * gap, 2) == 0:
        first = "On the test set the pruned net is as accurate as the dense one"
    else:
        side = "above" if gap > 0 else "below"
        first = f"On the test set the pruned net is {points(gap)[1:]} {side} the dense one"
    live = change(*_pair(record, "nonzero_parameters"))
    parts = [f"{first}, with {live} non-zero parameters" if live != MISSING else first]
    for name, key in (("SynOps", "synops_per_sample"), ("modelled energy", "energy_nj_per_sample")):
        before, after = _pair(record, key)
        if before and is_number(before) and is_number(after) and before != after:
            verb = "rose to" if after > before else "fell to"
            parts.append(f"{name} {verb} {percent(after / before, 0)} of dense")
    text = "; ".join(parts) + "."
    return f"No success: there are signs of a dead net. {text}" if record.warnings else text


def facts(record: RunRecord) -> list[tuple[str, str]]:
    """Return the settings of the run, as pairs of term and value."""
    run, data, model = record.metrics, record.metrics["data"], record.metrics["model"]
    samples, arguments = data.get("samples") or {}, model.get("arguments") or {}
    given = ", ".join(f"{key}={value}" for key, value in arguments.items() if value is not None)
    versions = ", ".join(f"{key} {value}" for key, value in (run.get("versions") or {}).items())
    shape = " × ".join(str(length) for length in data.get("shape") or [])
    threads = f", threads: {run['threads']}" if run.get("threads") else ""
    rows = [
        ("Data", f"{data.get('label') or data.get('name')} ({data.get('name')})"),
        ("Samples", ", ".join(f"{count:,} {part}" for part, count in samples.items())),
        ("Input", " ".join(filter(None, [shape, _INPUTS.get(data.get("kind", ""), "")]))),
        ("Net", f"{model.get('name')}" + (f" ({given})" if given else "")),
        ("Time steps T", str(run.get("time_steps", ""))),
        ("Method", f"{run['method']}, granularity {run['granularity']}"),
        ("Target", _target(record)),
        ("Reached", f"density {percent(record.pruned.get('density'))} of the original weights"),
        ("Silent", _silent(record)),
        ("First layer", _first_layer(record)),
        ("Seed", str(run.get("seed", ""))),
        ("Device", f"{run.get('device', '')}{threads}"),
        ("Precision", _PRECISIONS.get(str(run.get("precision")), "")),
        ("Versions", versions),
        ("Report", f"metrics schema {run.get('schema')}, spikeprune {run.get('spikeprune', '')}"),
    ]
    return [(term, text) for term, text in rows if text]


def layer_table(record: RunRecord) -> tuple[list[str], list[list[TableCell]]]:
    """Return headings and rows of the table of layers, without columns that hold no number."""
    dense, pruned = record.layers("dense"), record.layers("pruned")
    cut = record.metrics.get("cut") or {}
    rows = []
    for name in {**dense, **pruned}:
        row = _layer_row(dense.get(name), pruned.get(name))
        for when, counts in (
            ("before", cut.get("channels_before")),
            ("after", cut.get("channels_after")),
        ):
            row[f"channels {when}"] = _number((counts or {}).get(name), amount)
        rows.append(row)
    numeric = {heading for row in rows for heading, cell in row.items() if cell.value is not None}
    headings = rows[0] if rows else {}
    used = [name for name in headings if name in numeric or name in ("layer", "operand")]
    return used, [[row[heading] for heading in used] for row in rows]


def _layer_row(dense: LayerMetrics | None, pruned: LayerMetrics | None) -> dict[str, TableCell]:
    before, after = dense or LayerMetrics(), pruned or LayerMetrics()
    either = after or before
    shape = [int(length) for length in (before or after).get("shape") or []]
    size_of_weight = float(math.prod(shape)) if shape else None
    return {
        "layer": TableCell(str(either["name"])),
        "shape": TableCell(" × ".join(map(str, shape)) or "–", size_of_weight),
        "density": _number(after.get("density"), percent),
        "firing, dense": _number(before.get("firing_rate"), percent),
        "firing, pruned": _number(after.get("firing_rate"), percent),
        "SynOps, dense": _number(before.get("synops"), amount),
        "SynOps, pruned": _number(after.get("synops"), amount),
        "operand": TableCell(_OPERANDS.get(either.get("operand", ""), "–")),
        "value-weighted ACs": _number(after.get("value_weighted_acs"), amount),
        "dead channels": _number(after.get("dead_channels"), amount),
        "silent, dense": _number(before.get("silent_neurons"), percent),
        "silent, pruned": _number(after.get("silent_neurons"), percent),
    }


def _number(value: Any, form: Callable[[Any], str]) -> TableCell:
    return TableCell(form(value), float(value)) if is_number(value) else TableCell("–")


def cost_rows(record: RunRecord) -> list[tuple[str, str, str]]:
    """Return the cost of the run as rows of `(quantity, dense run, this run)`."""
    cost = record.metrics.get("cost") or {}
    dense = cost.get("dense") or {}

    def row(term: str, key: str, form: Callable[[Any], str] = amount) -> tuple[str, str, str]:
        return term, form(dense[key]) if key in dense else "–", form(cost.get(key))

    taught = [row("Of these, the teacher's forward passes", "teacher_flops")]
    return [
        row("Pruning epochs", "pruning_epochs"),
        row("Total epochs", "total_epochs"),
        row("Training FLOPs, as computed", "training_flops"),
        row("Training FLOPs, sparse-aware", "training_flops_sparse"),
        *(taught if cost.get("teacher_flops") else []),
        row("Wall time", "wall_seconds", duration),
        row("Peak memory of the process", "peak_rss_bytes", size),
    ]


def _pair(record: RunRecord, key: str) -> tuple[Any, Any]:
    return record.dense.get(key), record.pruned.get(key)


def _accuracy_change(record: RunRecord) -> float | None:
    before, after = _pair(record, "test_accuracy")
    return after - before if is_number(before) and is_number(after) else None


def _accuracy(record: RunRecord) -> Card:
    before, after = _pair(record, "test_accuracy")
    gap = _accuracy_change(record)
    count = ((record.metrics.get("data") or {}).get("samples") or {}).get("test")
    note = "one run, one seed"
    if is_number(after) and is_number(count) and count:
        margin = 1.96 * math.sqrt(after * (1 - after) / count)
        note = f"{count:,} test samples: ±{100 * margin:.2f} points (95 %); {note}"
    verdict = "unknown" if gap is None else _verdict(-before, -after)
    return Card("Test accuracy", percent(before), percent(after), points(gap), verdict, note)


def _weights(record: RunRecord) -> Card:
    note, stored = "", record.pruned.get("parameters")
    if is_number(stored):
        note = f"stored: {amount(stored)} parameters, {size(FP32_BYTES * stored)} as fp32"
    return _card("Non-zero parameters", _pair(record, "nonzero_parameters"), amount, note)


def _synops(record: RunRecord) -> Card:
    acs = record.pruned.get("effective_acs_per_sample")
    macs = record.pruned.get("effective_macs_per_sample")
    parts = [amount(n, kind) for n, kind in ((acs, "ACs"), (macs, "MACs")) if is_number(n)]
    note = f"per sample, all {record.metrics.get('time_steps')} time steps"
    note += f": {' + '.join(parts)}" if parts else ""
    return _card("SynOps", _pair(record, "synops_per_sample"), amount, note)


def _latency(record: RunRecord) -> Card:
    dense, pruned = (net.get("latency_ms") or {} for net in (record.dense, record.pruned))
    before, after = dense.get("b1"), pruned.get("b1")
    threads = record.pruned.get("latency_threads")
    large = [_milliseconds(net.get("b32")) for net in (dense, pruned)]
    note = f"batch of 1; batch of 32: {large[0]} → {large[1]}"
    note += f"; {record.metrics.get('device', '')}, threads: {threads}" if threads else ""
    event = ((record.metrics.get("event_driven") or {}).get("latency_ms") or {}).get("b1")
    note += f"; event-driven, batch of 1: {_milliseconds(event)}" if is_number(event) else ""
    delta, verdict = change(before, after, "more", "less"), _verdict(before, after, _LATENCY_NOISE)
    return Card("Latency", _milliseconds(before), _milliseconds(after), delta, verdict, note)


def _card(label: str, pair: tuple[Any, Any], form: Callable[[Any], str], note: str) -> Card:
    before, after = pair
    delta = change(before, after, fewer="less" if label == "Energy" else "fewer")
    return Card(label, form(before), form(after), delta, _verdict(before, after), note)


def _verdict(before: Any, after: Any, noise: float = 0.0) -> str:
    """Compare two costs: less is better; a relative change up to `noise` counts as none."""
    if not is_number(before) or not is_number(after):
        return "unknown"
    if abs(after - before) <= noise * abs(before):
        return "same"
    return "better" if after < before else "worse"


def _milliseconds(value: Any) -> str:
    return f"{value:.3g}\u00a0ms" if is_number(value) else MISSING


def _silent(record: RunRecord) -> str:
    before, after = _pair(record, "silent_neurons")
    if not is_number(before) or not is_number(after):
        return ""
    return f"{percent(after)} of the neurons never fired on the test set (dense {percent(before)})"


def _first_layer(record: RunRecord) -> str:
    macs = record.pruned.get("first_layer_macs_per_sample") or {}
    static = record.metrics.get("static_first_layer")
    if static is None:
        return ""
    text = "computed once a sample" if static else "computed at every time step"
    counts = ((macs.get("static"), "once"), (macs.get("every_step"), "at every step"))
    known = [f"{amount(count, 'operations')} {when}" for count, when in counts if is_number(count)]
    return f"{text} (pruned net: {', '.join(known)})" if known else text
