"""The cells of a comparison: finished runs with their measurements and conditions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spikeprune.lab.compare.jobs.compare_config import CompareConfig
from spikeprune.lab.compare.jobs.grid import Job, Key, jobs
from spikeprune.lab.compare.numbers.run_facts import at, facts_of
from spikeprune.lab.report.number_words import is_number
from spikeprune.lab.report.run_record import RunRecord, read_record
from spikeprune.lab.report.run_rows import RunMetrics
from spikeprune.lab.run_folder import ComparisonFolder
from spikeprune.lab.settings.yaml_values import parse_yaml
from spikeprune.science.cost import FP32_BYTES

# Measurements by name, with their path in `metrics.json`; units as there.
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
    "dense_energy_nj": ("dense", "energy_nj_per_sample"),
    "dense_parameters": ("dense", "parameters"),
    "firing_rate": ("pruned", "firing_rate"),
    "silent_neurons": ("pruned", "silent_neurons"),
    "latency_b1_ms": ("pruned", "latency_ms", "b1"),
    "latency_b32_ms": ("pruned", "latency_ms", "b32"),
    "pruning_epochs": ("cost", "pruning_epochs"),
    "total_epochs": ("cost", "total_epochs"),
    "dense_epochs": ("cost", "dense", "total_epochs"),
    "training_flops": ("cost", "training_flops"),
    "training_flops_sparse": ("cost", "training_flops_sparse"),
    "teacher_flops": ("cost", "teacher_flops"),
    "wall_seconds": ("cost", "wall_seconds"),
    "dense_training_flops": ("cost", "dense", "training_flops"),
    "dense_wall_seconds": ("cost", "dense", "wall_seconds"),
    "peak_rss_bytes": ("cost", "peak_rss_bytes"),
    "survival": ("regrowth", "survival_mean"),
}


@dataclass(frozen=True)
class Cell:
    """One finished run of a comparison; `Job` is the run before."""

    setting: str  # data and net, or the name of a setting; only cells of one setting are compared
    method: str  # name of the method or the variant
    sparsity: float | None  # target, a fraction; None if nothing is pruned
    budget: str | None  # unit of the target, as `weights`, `synops`; None if not known
    seed: int  # cells of one seed share initial weights and data, and are paired
    folder: Path
    # Measurements (see `VALUES`), `sparsity` reached, `drop` and `validation_drop` (dense minus
    # pruned accuracy), `bytes` and `dense_bytes` (stored parameters as fp32). Fractions, counts per
    # sample, nJ, seconds; None if not measured.
    values: Mapping[str, float | None]
    facts: Mapping[str, str]  # conditions of the run (see `run_facts.FACTS`), in words
    notes: tuple[str, ...] = ()  # what the counts of its nets do not contain
    warnings: tuple[str, ...] = ()  # signs that a net of the run is dead

    @property
    def key(self) -> Key:
        """Setting, method and target sparsity."""
        return self.setting, self.method, self.sparsity

    @property
    def metrics(self) -> RunMetrics:
        """All of `metrics.json`, read from the run folder."""
        return read_record(self.folder).metrics

    def as_json(self, folder: Path) -> dict[str, Any]:
        """Return a row of a JSON file in `folder`; the run's path is relative to it if inside."""
        run, folder = self.folder.absolute(), folder.absolute()
        return {
            "setting": self.setting,
            "method": self.method,
            "target_sparsity": self.sparsity,
            "budget": self.budget,
            "seed": self.seed,
            "run": run.relative_to(folder).as_posix() if run.is_relative_to(folder) else str(run),
            **self.values,
            "warnings": list(self.warnings),
            "facts": dict(self.facts),
        }


def load_cells(folder: Path | str) -> list[Cell]:
    """Return the finished cells of a comparison, in the order of its table.

    Raises:
        RunError: `folder` holds no comparison, or a run's files are broken.
        ConfigError: its configuration is not valid.
    """
    config = CompareConfig.load(ComparisonFolder(Path(folder).expanduser()))
    return [read_cell(job) for job in jobs(config) if job.finished]


def read_cell(job: Job) -> Cell:
    """Return the cell of a finished job."""
    record = read_record(job.folder.path)
    cell = cell_of(job.folder.path, record, config_of(record))
    return replace(cell, setting=job.setting, method=job.method, sparsity=job.sparsity)


def config_of(record: RunRecord) -> dict[str, Any]:
    """Return the fields of a run's configuration."""
    return parse_yaml(record.config, "config.yaml")


def cell_of(folder: Path, record: RunRecord, config: Mapping[str, Any]) -> Cell:
    """Return a finished run as a cell, its setting made of data, net and time steps."""
    found = {name: _number(at(record.metrics, *path)) for name, path in VALUES.items()}
    density = found["density"]
    values = {
        **found,
        "sparsity": None if density is None else 1 - density,
        "drop": _less(found["dense_test_accuracy"], found["test_accuracy"]),
        "validation_drop": _less(found["dense_validation_accuracy"], found["validation_accuracy"]),
        "bytes": _bytes(found["parameters"]),
        "dense_bytes": _bytes(found["dense_parameters"]),
    }
    facts = facts_of(record, config)
    method = str(record.metrics["method"])
    pruned = {} if method == "dense" else record.metrics.get("target") or {}
    target, budget = pruned.get("sparsity"), pruned.get("budget")
    setting = f"{facts['data']}, {record.metrics['model']['name']}, T {facts['T']}"
    seed = int(record.metrics.get("seed", 0))
    notes = tuple(record.metrics.get("pruned", {}).get("notes", ()))
    return Cell(
        setting, method, target, budget, seed, folder, values, facts, notes, record.warnings
    )


def _number(value: Any) -> float | None:
    return value if is_number(value) else None


def _bytes(parameters: float | None) -> float | None:
    return None if parameters is None else FP32_BYTES * parameters


def _less(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b
