"""What a run was run on: the facts in which the runs of a comparison should agree."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from spikeprune.lab.report.run_record import RunRecord


def facts_of(record: RunRecord, config: Mapping[str, Any]) -> dict[str, str]:
    """Return every fact of `FACTS` in words.

    Args:
        record: of the run.
        config: fields of its configuration.
    """
    return {name: word(tell(record, config)) for name, tell in FACTS.items()}


def at(values: Any, *path: str) -> Any:
    """Return what nested mappings hold under a path of names; None where it ends early."""
    for name in path:
        values = (values or {}).get(name)
    return values


def word(value: Any) -> str:
    """Return a value of a configuration or of a record as a person reads it."""
    if value is None:
        return "not known"
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | dict | list) else f"{value}"


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{n} {word(value)}" for n, value in values.items() if value is not None)


def _counts(samples: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} {part}" for part, count in samples.items())


def _net(model: Mapping[str, Any]) -> str:
    own = {n: v for n, v in (model.get("arguments") or {}).items() if n not in _TASK}
    return f"{model['name']} ({_words(own)})" if own else str(model["name"])


def _code(metrics: Mapping[str, Any]) -> str:
    code = at(metrics, "versions", "code")
    return f"{metrics.get('spikeprune')}{f'+{code}' if code else ''}"


def _libraries(metrics: Mapping[str, Any]) -> dict[str, str]:
    versions = metrics.get("versions") or {}
    return {n: v for n, v in versions.items() if n not in ("spikeprune", "code")}


_TASK = ("classes", "in_channels", "image_size", "time_steps")

FACTS: dict[str, Callable[[RunRecord, Mapping[str, Any]], Any]] = {
    "data": lambda run, _: run.metrics["data"].get("label"),
    "samples": lambda run, _: _counts(run.metrics["data"].get("samples") or {}),
    "net": lambda run, _: _net(run.metrics["model"]),
    "T": lambda run, _: run.metrics.get("time_steps"),
    "epochs": lambda run, _: at(run.metrics, "cost", "total_epochs"),
    "epochs of the dense net": lambda run, _: at(run.metrics, "cost", "dense", "total_epochs"),
    "start": lambda run, _: run.metrics.get("start"),
    "batch size": lambda _, config: config.get("batch_size"),
    "augmentation": lambda _, config: ", ".join(config.get("augment") or ()) or "none",
    "optimiser": lambda _, config: _words(config.get("optimizer") or {}),
    "loss": lambda _, config: config.get("loss"),
    "precision": lambda run, _: run.metrics.get("precision") or "fp32",  # older runs had no other
    "fused neurons": lambda _, config: config.get("fuse"),
    "first layer once": lambda run, _: run.metrics.get("static_first_layer"),
    "device": lambda run, _: run.metrics.get("device"),
    "threads": lambda run, _: run.metrics.get("threads"),
    "processes": lambda run, _: run.metrics.get("processes") or 1,
    "compiled neurons": lambda run, _: bool(run.metrics.get("compiled")),
    "code": lambda run, _: _code(run.metrics),
    "libraries": lambda run, _: _words(_libraries(run.metrics)),
}
"""What a comparison should have in common, by name; from the record and the configuration."""
