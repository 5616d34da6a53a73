"""Finished cells, read from their run folders: what was measured, and on what."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spikeprune.errors import ConfigError
from spikeprune.lab.compare.config import CompareConfig
from spikeprune.lab.compare.grid import Job, jobs
from spikeprune.lab.convert import parse_yaml
from spikeprune.lab.paths import ComparisonFolder, RunFolder
from spikeprune.lab.record import Record, read_record
from spikeprune.lab.wording import is_number

__all__ = ["FACTS", "VALUES", "Cell", "cells_of_runs", "load_cells", "read_cell"]

VALUES: dict[str, tuple[str, ...]] = {
    "test_accuracy": ("pruned", "test_accuracy"),
    "validation_accuracy": ("pruned", "validation_accuracy"),
    "dense_test_accuracy": ("dense", "test_accuracy"),
    "dense_validation_accuracy": ("dense", "validation_accuracy"),
    "density": ("pruned", "density"),
    "parameters": ("pruned", "parameters"),
    "nonzero_parameters": ("pruned", "nonzero_parameters"),
    "synops": ("pruned", "synops_per_sample"),
    "dense_synops": ("dense", "synops_per_sample"),
    "effective_macs": ("pruned", "effective_macs_per_sample"),
    "effective_acs": ("pruned", "effective_acs_per_sample"),
    "dense_macs": ("pruned", "dense_macs_per_sample"),
    "energy_nj": ("pruned", "energy_nj_per_sample"),
    "firing_rate": ("pruned", "firing_rate"),
    "latency_b1_ms": ("pruned", "latency_ms", "b1"),
    "latency_b32_ms": ("pruned", "latency_ms", "b32"),
    "pruning_epochs": ("cost", "pruning_epochs"),
    "total_epochs": ("cost", "total_epochs"),
    "dense_epochs": ("cost", "dense", "total_epochs"),
    "training_flops": ("cost", "training_flops"),
    "training_flops_sparse": ("cost", "training_flops_sparse"),
    "wall_seconds": ("cost", "wall_seconds"),
    "dense_training_flops": ("cost", "dense", "training_flops"),
    "dense_wall_seconds": ("cost", "dense", "wall_seconds"),
    "peak_rss_bytes": ("cost", "peak_rss_bytes"),
    "survival": ("regrowth", "survival_mean"),
}
"""Measured numbers by name, and where `metrics.json` has them; units as there."""

FACTS: dict[str, Callable[[Record, Mapping[str, Any]], Any]] = {
    "data": lambda run, _: run.metrics["data"].get("label"),
    "samples": lambda run, _: _counts(run.metrics["data"].get("samples") or {}),
    "net": lambda run, _: _net(run.metrics["model"]),
    "T": lambda run, _: run.metrics.get("time_steps"),
    "epochs": lambda run, _: (run.metrics.get("cost") or {}).get("total_epochs"),
    "epochs of the dense net": lambda run, _: _at(run.metrics, "cost", "dense", "total_epochs"),
    "start": lambda run, _: run.metrics.get("start"),
    "batch size": lambda _, config: config.get("batch_size"),
    "augmentation": lambda _, config: ", ".join(config.get("augment") or ()) or "none",
    "optimiser": lambda _, config: _words(config.get("optimizer") or {}),
    "loss": lambda _, config: config.get("loss"),
    "precision": lambda _, config: config.get("precision", "fp32"),
    "fused neurons": lambda _, config: config.get("fuse"),
    "first layer once": lambda run, _: run.metrics.get("static_first_layer"),
    "device": lambda run, _: run.metrics.get("device"),
    "threads": lambda run, _: run.metrics.get("threads"),
    "code": lambda run, _: _code(run.metrics),
    "libraries": lambda run, _: _words(_libraries(run.metrics)),
}
"""What a comparison should have in common, by name; from the record and the configuration."""


@dataclass(frozen=True)
class Cell:
    """A finished run of a comparison.

    Attributes:
        setting: under what it was run; cells of different settings are not compared.
        method: name in the table: of the method, or of the variant.
        sparsity: the target; None for a run that prunes nothing.
        seed: of the run. Cells of one seed share initial weights and data, and are paired.
        folder: of the run.
        values: what was measured (see `VALUES`), and `sparsity` reached, `drop` and
            `validation_drop` (accuracy of the dense net of this seed minus that of this net).
            Fractions, counts per sample, nJ, seconds; None where it is not known.
        facts: what it was run on (see `FACTS`), in words.
    """

    setting: str
    method: str
    sparsity: float | None
    seed: int
    folder: Path
    values: Mapping[str, float | None]
    facts: Mapping[str, str]

    @property
    def metrics(self) -> dict[str, Any]:
        """All of `metrics.json`, read from the run folder."""
        return read_record(self.folder).metrics

    def row(self, folder: Path) -> dict[str, Any]:
        """Return plain values for a file in `folder`: the run's path is relative to it."""
        run = self.folder.absolute()
        inside = run.is_relative_to(folder.absolute())
        return {
            "setting": self.setting,
            "method": self.method,
            "target_sparsity": self.sparsity,
            "seed": self.seed,
            "run": run.relative_to(folder.absolute()).as_posix() if inside else str(run),
            **self.values,
            "facts": dict(self.facts),
        }


def load_cells(folder: Path | str) -> list[Cell]:
    """Return the finished cells of a comparison, in the order of its table.

    Raises:
        RunError: There is no comparison in `folder`, or a run's files are broken.
        ConfigError: Its configuration is not valid.
    """
    config = CompareConfig.load(ComparisonFolder(Path(folder).expanduser()))
    return [read_cell(job) for job in jobs(config) if job.finished]


def read_cell(job: Job) -> Cell:
    """Return a finished cell of a grid.

    Raises:
        RunError: Its run is not finished, or its files are broken.
    """
    record = read_record(job.folder.path)
    cell = _cell(job.folder.path, record, _config(record))
    return replace(cell, setting=job.setting, method=job.method, sparsity=job.sparsity)


def cells_of_runs(folders: Sequence[Path | str]) -> list[Cell]:
    """Return finished runs, wherever they lie, as cells of a comparison.

    The setting is what they were run on; a method gets the options in which its runs differ into
    its name.

    Raises:
        RunError: A folder holds no finished run.
        ConfigError: A run is given twice, or two runs are the same cell.
    """
    places = [RunFolder.existing(folder).path for folder in folders]
    for path, count in Counter(path.resolve() for path in places).items():
        if count > 1:
            raise ConfigError(f"{path} is given {count} times; give it once")
    records = [read_record(path) for path in places]
    configs = [_config(record) for record in records]
    named = zip(places, records, configs, _labels(configs), strict=True)
    cells = [replace(_cell(p, record, c), method=label) for p, record, c, label in named]
    seen: dict[tuple[Any, ...], Cell] = {}
    for cell in cells:
        other = seen.setdefault((cell.setting, cell.method, cell.sparsity, cell.seed), cell)
        if other is not cell:
            raise ConfigError(
                f"{other.folder} and {cell.folder} are the same cell ({cell.method}, seed "
                f"{cell.seed}); give one of them"
            )
    return sorted(cells, key=lambda c: (c.setting, c.method != "dense"))


def _config(record: Record) -> dict[str, Any]:
    return parse_yaml(record.config, "config.yaml")


def _cell(folder: Path, record: Record, config: Mapping[str, Any]) -> Cell:
    found = {name: _number(_at(record.metrics, *path)) for name, path in VALUES.items()}
    density = found["density"]
    values = {
        **found,
        "sparsity": None if density is None else 1 - density,
        "drop": _less(found["dense_test_accuracy"], found["test_accuracy"]),
        "validation_drop": _less(found["dense_validation_accuracy"], found["validation_accuracy"]),
    }
    facts = {name: _word(tell(record, config)) for name, tell in FACTS.items()}
    method = str(record.metrics["method"])
    target = None if method == "dense" else _at(record.metrics, "target", "sparsity")
    setting = f"{facts['data']}, {record.metrics['model']['name']}, T {facts['T']}"
    seed = int(record.metrics.get("seed", 0))
    return Cell(setting, method, target, seed, folder, values, facts)


_PLACE = ("method", "granularity", "data", "model", "time_steps")
_NOT_NAMED = (*_PLACE, "sparsity", "seed", "out", "threads", "device", "data_root")


def _labels(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name for each run: its method, and the options in which the method's runs differ."""
    flat = [_flat(config) for config in configs]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for options in flat:
        groups[tuple(options.get(name) for name in _PLACE)].append(options)
    granularities = defaultdict(set)
    for method, granularity, *_ in groups:
        granularities[method].add(granularity)
    labels = []
    for options in flat:
        method, granularity = options.get("method"), options.get("granularity")
        words = [f"{granularity}s"] if len(granularities[method]) > 1 else []
        group = groups[tuple(options.get(name) for name in _PLACE)]
        words += [
            f"{name} {'default' if value is None else _word(value)}"
            for name, value in options.items()
            if name not in _NOT_NAMED and any(other.get(name) != value for other in group)
        ]
        labels.append(f"{method} ({', '.join(words)})" if words else str(method))
    return labels


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{key}": below for key, below in value.items()}
        else:
            flat[name] = value
    return flat


def _at(values: Any, *path: str) -> Any:
    for name in path:
        values = (values or {}).get(name)
    return values


def _number(value: Any) -> float | None:
    return value if is_number(value) else None


def _less(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _word(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | dict | list) else f"{value}"


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{n} {_word(value)}" for n, value in values.items() if value is not None)


def _counts(samples: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} {part}" for part, count in samples.items())


def _net(model: Mapping[str, Any]) -> str:
    own = {n: v for n, v in (model.get("arguments") or {}).items() if n not in _TASK}
    return f"{model['name']} ({_words(own)})" if own else str(model["name"])


_TASK = ("classes", "in_channels", "image_size", "time_steps")


def _code(metrics: Mapping[str, Any]) -> str:
    code = _at(metrics, "versions", "code")
    return f"{metrics.get('spikeprune')}{f'+{code}' if code else ''}"


def _libraries(metrics: Mapping[str, Any]) -> dict[str, str]:
    versions = metrics.get("versions") or {}
    return {n: v for n, v in versions.items() if n not in ("spikeprune", "code")}
