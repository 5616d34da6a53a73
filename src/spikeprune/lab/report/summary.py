"""The report's words and tables: headline cards, what was run, layers, classes, cost."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
from spikeprune.lab.report.run_record import Row, RunRecord

_BYTES_PER_WEIGHT = 4
_LATENCY_NOISE = 0.05
_PRECISIONS = {"bf16": "bf16 in training steps (autocast), fp32 in all else", "fp32": "fp32"}
_OPERANDS = {"spikes": "spikes", "analog": "analogue"}
_LAYER_COLUMNS = (
    "layer",
    "shape",
    "density",
    "firing, dense",
    "firing, pruned",
    "SynOps, dense",
    "SynOps, pruned",
    "operand",
    "value-weighted ACs",
    "dead channels",
    "channels before",
    "channels after",
)


@dataclass(frozen=True)
class Card:
    """One quantity before and after pruning; `verdict` is better, worse, same or unknown."""

    label: str
    before: str
    after: str
    delta: str
    verdict: str
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """One cell of a sortable table: what is shown, the number that it sorts by, where it leads."""

    text: str
    value: float | None = None
    link: str = ""


def title(record: RunRecord) -> str:
    """Return the report's heading: net, data, target."""
    data, model = record.metrics["data"], record.metrics["model"]
    target = record.metrics.get("target") or {}
    head = f"{model.get('name')} on {data.get('label') or data.get('name')}"
    if not is_number(target.get("sparsity")):
        return head
    budget = target.get("budget") or record.unit
    return f"{head}, {100 * target['sparsity']:.4g} % fewer {budget_name(budget)}"


def cards(record: RunRecord) -> tuple[Card, ...]:
    """Return the headline: accuracy, weights, SynOps, energy, latency; signs as they are."""
    return (_accuracy(record), _weights(record), _synops(record), _energy(record), _latency(record))


def headline(record: RunRecord) -> str:
    """Return the result in one sentence, what got worse included."""
    gap = _difference(record, "test_accuracy")
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
    return "; ".join(parts) + "."


def facts(record: RunRecord) -> list[tuple[str, str]]:
    """Return what was run, as pairs of term and value."""
    run, data, model = record.metrics, record.metrics["data"], record.metrics["model"]
    target, samples = run.get("target") or {}, data.get("samples") or {}
    given = {k: v for k, v in (model.get("arguments") or {}).items() if v is not None}
    arguments = ", ".join(f"{key}={value}" for key, value in given.items())
    versions = ", ".join(f"{key} {value}" for key, value in (run.get("versions") or {}).items())
    shape = " × ".join(str(length) for length in data.get("shape") or [])
    threads = f", threads: {run['threads']}" if run.get("threads") else ""
    budget = budget_name(target.get("budget") or record.unit)
    wanted = target.get("sparsity")
    rows = [
        ("Data", f"{data.get('label') or data.get('name')} ({data.get('name')})"),
        ("Samples", ", ".join(f"{count:,} {part}" for part, count in samples.items())),
        ("Input", " ".join(filter(None, [shape, _kind(data.get("kind"))]))),
        ("Net", f"{model.get('name')}" + (f" ({arguments})" if arguments else "")),
        ("Time steps T", str(run.get("time_steps", ""))),
        ("Method", f"{run['method']}, granularity {run['granularity']}"),
        ("Target", f"{100 * wanted:.4g} % fewer {budget}" if is_number(wanted) else ""),
        ("Reached", f"density {percent(record.pruned.get('density'))} of the original weights"),
        ("First layer", _first_layer(record)),
        ("Seed", str(run.get("seed", ""))),
        ("Device", f"{run.get('device', '')}{threads}"),
        ("Precision", _PRECISIONS.get(str(run.get("precision")), "")),
        ("Versions", versions),
        ("Report", f"metrics schema {run.get('schema')}, spikeprune {run.get('spikeprune', '')}"),
    ]
    return [(term, text) for term, text in rows if text]


def layer_table(record: RunRecord) -> tuple[list[str], list[list[Cell]]]:
    """Return headings and rows of the table of layers; a column without any number is left out."""
    dense, pruned = record.layers("dense"), record.layers("pruned")
    cut = record.metrics.get("cut") or {}
    rows = []
    for name in dict.fromkeys([*dense, *pruned]):
        channels = [(cut.get(f"channels_{when}") or {}).get(name) for when in ("before", "after")]
        rows.append(_layer(dense.get(name) or {}, pruned.get(name) or {}, channels))
    used = [
        column
        for column, heading in enumerate(_LAYER_COLUMNS)
        if heading in ("layer", "operand") or any(row[column].value is not None for row in rows)
    ]
    return [_LAYER_COLUMNS[column] for column in used], [
        [row[column] for column in used] for row in rows
    ]


def _layer(before: Row, after: Row, channels: list[Any]) -> list[Cell]:
    """Return one row in the order of `_LAYER_COLUMNS`."""
    one = after or before
    return [
        Cell(str(one["name"])),
        _shape(before or after),
        _number(after.get("density"), percent),
        _number(before.get("firing_rate"), percent),
        _number(after.get("firing_rate"), percent),
        _number(before.get("synops"), amount),
        _number(after.get("synops"), amount),
        Cell(_OPERANDS.get(one.get("operand", ""), "–")),
        _number(after.get("value_weighted_acs"), amount),
        _number(after.get("dead_channels"), amount),
        *(_number(count, amount) for count in channels),
    ]


def cost_rows(record: RunRecord) -> list[tuple[str, str, str]]:
    """Return what the run cost: `(quantity, dense run, this run)`."""
    cost = record.metrics.get("cost") or {}
    dense = cost.get("dense") or {}

    def row(term: str, key: str, form: Callable[[Any], str] = amount) -> tuple[str, str, str]:
        return term, form(dense[key]) if key in dense else "–", form(cost.get(key))

    return [
        row("Pruning epochs", "pruning_epochs"),
        row("Total epochs", "total_epochs"),
        row("Training FLOPs, as computed", "training_flops"),
        row("Training FLOPs, sparse-aware", "training_flops_sparse"),
        row("Wall time", "wall_seconds", duration),
        row("Peak memory of the process", "peak_rss_bytes", size),
    ]


def _pair(record: RunRecord, key: str) -> tuple[Any, Any]:
    return record.dense.get(key), record.pruned.get(key)


def _difference(record: RunRecord, key: str) -> float | None:
    before, after = _pair(record, key)
    return after - before if is_number(before) and is_number(after) else None


def _accuracy(record: RunRecord) -> Card:
    before, after = _pair(record, "test_accuracy")
    gap = _difference(record, "test_accuracy")
    count = ((record.metrics.get("data") or {}).get("samples") or {}).get("test")
    note = "one run, one seed"
    if is_number(after) and is_number(count) and count:
        margin = 1.96 * math.sqrt(after * (1 - after) / count)
        note = f"{count:,} test samples: ±{100 * margin:.2f} points (95 %); {note}"
    verdict = _verdict(-before, -after) if gap is not None else "unknown"
    return Card("Test accuracy", percent(before), percent(after), points(gap), verdict, note)


def _weights(record: RunRecord) -> Card:
    stored = record.pruned.get("parameters")
    note = ""
    if is_number(stored):
        note = f"stored: {amount(stored)} parameters, {size(_BYTES_PER_WEIGHT * stored)} as fp32"
    return _card("Non-zero parameters", _pair(record, "nonzero_parameters"), amount, note)


def _synops(record: RunRecord) -> Card:
    parts = [
        amount(record.pruned.get(f"effective_{kind}_per_sample"), kind[:-1].upper() + "s")
        for kind in ("acs", "macs")
        if is_number(record.pruned.get(f"effective_{kind}_per_sample"))
    ]
    steps = record.metrics.get("time_steps")
    note = f"per sample, all {steps} time steps" + (f": {' + '.join(parts)}" if parts else "")
    return _card("SynOps", _pair(record, "synops_per_sample"), amount, note)


def _energy(record: RunRecord) -> Card:
    note = "per sample; a model, not a measurement"
    return _card("Energy", _pair(record, "energy_nj_per_sample"), energy, note)


def _latency(record: RunRecord) -> Card:
    both = [(side.get("latency_ms") or {}) for side in (record.dense, record.pruned)]
    one = [latency.get("b1") for latency in both]
    many = [_milliseconds(latency.get("b32")) for latency in both]
    threads = record.pruned.get("latency_threads")
    note = f"batch of 1; batch of 32: {many[0]} → {many[1]}"
    note += f"; {record.metrics.get('device', '')}, threads: {threads}" if threads else ""
    event = ((record.metrics.get("event_driven") or {}).get("latency_ms") or {}).get("b1")
    note += f"; event-driven, batch of 1: {_milliseconds(event)}" if is_number(event) else ""
    delta = change(one[0], one[1], "more", "less")
    verdict = _verdict(one[0], one[1], _LATENCY_NOISE)
    return Card("Latency", _milliseconds(one[0]), _milliseconds(one[1]), delta, verdict, note)


def _card(label: str, pair: tuple[Any, Any], form: Callable[[Any], str], note: str) -> Card:
    words = ("more", "less") if label == "Energy" else ("more", "fewer")
    return Card(label, form(pair[0]), form(pair[1]), change(*pair, *words), _verdict(*pair), note)


def _verdict(before: Any, after: Any, noise: float = 0.0) -> str:
    """Compare two costs: less is better; a change within `noise` (a share) is none."""
    if not is_number(before) or not is_number(after):
        return "unknown"
    if abs(after - before) <= noise * abs(before):
        return "same"
    return "better" if after < before else "worse"


def _milliseconds(value: Any) -> str:
    return f"{value:.3g}\u00a0ms" if is_number(value) else MISSING


def _kind(kind: Any) -> str:
    return {"static": "(static images)", "events": "(event frames)"}.get(str(kind), "")


def _first_layer(record: RunRecord) -> str:
    macs = record.pruned.get("first_layer_macs_per_sample") or {}
    static = record.metrics.get("static_first_layer")
    if static is None:
        return ""
    text = "computed once a sample" if static else "computed at every time step"
    known = [
        f"{amount(macs[key], 'MACs')} {words}"
        for key, words in (("static", "once"), ("every_step", "at every step"))
        if is_number(macs.get(key))
    ]
    return f"{text} (pruned net: {', '.join(known)})" if known else text


def _shape(row: Row) -> Cell:
    shape = [int(length) for length in row.get("shape") or []]
    return Cell(" × ".join(map(str, shape)) or "–", float(math.prod(shape)) if shape else None)


def _number(value: Any, form: Callable[[Any], str]) -> Cell:
    return Cell(form(value), float(value)) if is_number(value) else Cell("–")
