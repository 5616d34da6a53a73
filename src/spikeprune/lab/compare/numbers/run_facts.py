"""The conditions of a run: data, net, training, machine, code."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spikeprune.lab.report.run_record import RunRecord


def facts_of(record: RunRecord, config: Mapping[str, Any]) -> dict[str, str]:
    """Return every fact of `FACTS` in words; `config` has the fields of the run's configuration."""
    return {name: word(fact(record, config)) for name, fact in FACTS.items()}


def at(values: Any, *path: str) -> Any:
    """Return the value at a path of names in nested mappings; None if the path ends early."""
    for name in path:
        values = (values or {}).get(name)
    return values


def word(value: Any) -> str:
    """Return a value of a configuration or a record in words."""
    if value is None:
        return "not known"
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | dict | list) else f"{value}"


def _listed(values: Mapping[str, Any], without: Sequence[str] = ()) -> str:
    known = {n: v for n, v in values.items() if v is not None and n not in without}
    return ", ".join(f"{name} {word(value)}" for name, value in known.items())


def _net(model: Mapping[str, Any]) -> str:
    arguments = _listed(model.get("arguments") or {}, without=_TASK)
    return f"{model['name']} ({arguments})" if arguments else str(model["name"])


def _code(metrics: Mapping[str, Any]) -> str:
    code = at(metrics, "versions", "code")
    return f"{metrics.get('spikeprune')}{f'+{code}' if code else ''}"


def _teacher(metrics: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    teacher = config.get("teacher") or {}
    if not teacher.get("weight") or metrics.get("method") == "dense":
        return NO_TEACHER
    return _listed({**teacher, "per_step": teacher.get("per_step") or None})


def _samples(metrics: Mapping[str, Any]) -> str:
    counts = metrics["data"].get("samples") or {}
    return ", ".join(f"{count} {part}" for part, count in counts.items())


WITHIN_SETTING = ("your code", "content of the data")
"""Facts in which only the runs of one setting should agree: others have other nets or data."""
OF_PRUNED = ("teacher",)
"""Facts of pruned nets alone."""
NO_TEACHER = "none"
CODE = ("code", "your code")
"""Facts that an edit of source changes."""
_TASK = ("classes", "in_channels", "image_size", "time_steps")
_OUR_CODE = ("spikeprune", "code")
# Facts in which the runs of a comparison should agree, from the record and the configuration.
FACTS: dict[str, Callable[[RunRecord, Mapping[str, Any]], Any]] = {
    "data": lambda run, _: run.metrics["data"].get("label"),
    "samples": lambda run, _: _samples(run.metrics),
    "net": lambda run, _: _net(run.metrics["model"]),
    "T": lambda run, _: run.metrics.get("time_steps"),
    "epochs": lambda run, _: at(run.metrics, "cost", "total_epochs"),
    "epochs of the dense net": lambda run, _: at(run.metrics, "cost", "dense", "total_epochs"),
    "start": lambda run, _: run.metrics.get("start"),
    "batch size": lambda _, config: config.get("batch_size"),
    "augmentation": lambda _, config: ", ".join(config.get("augment") or ()) or "none",
    "optimiser": lambda _, config: _listed(config.get("optimizer") or {}),
    "loss": lambda _, config: config.get("loss"),
    "teacher": lambda run, config: _teacher(run.metrics, config),
    "precision": lambda run, _: run.metrics.get("precision") or "fp32",  # older runs had no other
    "fused neurons": lambda _, config: config.get("fuse"),
    "first layer once": lambda run, _: run.metrics.get("static_first_layer"),
    "device": lambda run, _: run.metrics.get("device"),
    "threads": lambda run, _: run.metrics.get("threads"),
    "processes": lambda run, _: run.metrics.get("processes") or 1,
    "compiled neurons": lambda run, _: bool(run.metrics.get("compiled")),
    "code": lambda run, _: _code(run.metrics),
    "your code": lambda run, _: _listed(at(run.metrics, "identity", "source") or {}) or "none",
    "content of the data": lambda run, _: at(run.metrics, "identity", "data"),
    "libraries": lambda run, _: _listed(run.metrics.get("versions") or {}, _OUR_CODE),
}
