"""The cells of a grid: which runs a comparison is made of, and in which order they are started."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeprune.errors import ConfigError
from spikeprune.lab.compare.jobs.compare_config import CompareConfig, Overrides
from spikeprune.lab.run.dense_net import dense_key
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.flags import merge
from spikeprune.pruning.methods import find

_OF_THE_GRID = ("sparsity", "seed", "out")


@dataclass(frozen=True)
class Job:
    """A cell of the grid: what it is called, and the run that it takes.

    Attributes:
        setting: under what; net and data.
        method: name of the method or the variant.
        sparsity: share to remove; None for a run that prunes nothing.
        seed: of the run.
        config: the run, with its folder.
    """

    setting: str
    method: str
    sparsity: float | None
    seed: int
    config: RunConfig

    @property
    def name(self) -> str:
        """Name of the run's folder, unique in the grid."""
        return self.config.folder.name

    @property
    def folder(self) -> RunFolder:
        """Of the run."""
        return RunFolder(self.config.folder)

    @property
    def finished(self) -> bool:
        """Whether its results are there."""
        return self.folder.metrics.is_file()

    def __str__(self) -> str:
        """Words for messages."""
        target = "" if self.sparsity is None else f" at sparsity {self.sparsity:g}"
        return f"{self.method}{target}, seed {self.seed} ({self.setting})"


def jobs(config: CompareConfig) -> list[Job]:
    """Return the cells of the grid in the order of the table, every one once.

    Raises:
        ConfigError: A cell cannot be made: an unknown method, wrong options of a variant, no
            sparsity. The message names the cell.
    """
    made = [
        _job(config, (setting, label), (under, options), (sparsity, seed))
        for setting, under in _settings(config)
        for label, options in _methods(config)
        for sparsity in _sparsities(config, f"{label} ({setting})", {**under, **options})
        for seed in config.seeds
    ]
    names: dict[str, Job] = {}
    for job in made:
        other = names.setdefault(job.name, job)
        if other is not job:
            raise ConfigError(f"{other} and {job} would share the folder {job.name}; rename one")
    return made


def spread(waiting: Iterable[Job]) -> list[Job]:
    """Return jobs ordered so that those started together need different dense nets.

    Two cells that share a dense net would wait for each other while it trains.
    """
    by_dense: dict[str, list[Job]] = defaultdict(list)
    for job in waiting:
        by_dense[dense_key(job.config)].append(job)
    ranked = ((rank, job) for group in by_dense.values() for rank, job in enumerate(group))
    return [job for _, job in sorted(ranked, key=lambda pair: pair[0])]


def _settings(config: CompareConfig) -> Iterator[tuple[str, Overrides]]:
    if config.settings:
        for name, options in config.settings.items():
            if "method" in options:
                raise ConfigError(f"setting {name}: method belongs to the grid; leave it out")
            yield name, options
        return
    for data in config.data_sets:
        for model in config.models:
            yield f"{data}, {model}", {"data": data, "model": model}


def _methods(config: CompareConfig) -> Iterator[tuple[str, Overrides]]:
    yield from ((name, {"method": name}) for name in config.methods)
    for name, options in config.variants.items():
        if "method" not in options:
            raise ConfigError(
                f"variant {name} names no method; add one, as {{{name}: {{method: criticality}}}}"
            )
        yield name, options


def _sparsities(config: CompareConfig, cell: str, options: Overrides) -> tuple[float | None, ...]:
    for name in _OF_THE_GRID:
        if name in options:
            raise ConfigError(f"{cell}: {name} belongs to the grid; leave it out of the options")
    granularity = options.get("granularity", config.base.granularity)
    try:
        prunes = find(options["method"], granularity).prunes
    except ConfigError as error:
        raise ConfigError(f"{cell}: {error}") from error
    if not prunes:
        return (None,)
    if not config.sparsities:
        raise ConfigError(f"{cell} needs a sparsity; give --sparsities '[0.9]'")
    return config.sparsities


def _job(
    config: CompareConfig,
    words: tuple[str, str],
    options: tuple[Overrides, Overrides],
    numbers: tuple[float | None, int],
) -> Job:
    values = config.base.to_dict()
    for layer in options:
        values = overridden(values, layer)
    return job_of(values, words, numbers, cells=config.folder.cells)


def overridden(values: dict[str, Any], options: Overrides) -> dict[str, Any]:
    """Return the fields of a run with options put in; dots in their names lead into mappings."""
    for key, value in options.items():
        values = merge(values, _nested(key, value))
    return values


def job_of(
    values: dict[str, Any],
    words: tuple[str, str],
    numbers: tuple[float | None, int],
    *,
    cells: Path,
) -> Job:
    """Return a cell.

    Args:
        values: fields of its run.
        words: names of setting and method.
        numbers: target sparsity and seed.
        cells: folder of all run folders.

    Raises:
        ConfigError: fields that make no run.
    """
    (setting, method), (sparsity, seed) = words, numbers
    target = "" if sparsity is None else f"_{sparsity:g}"
    name = _slug(f"{setting}_{method}{target}_seed{seed}")
    values = values | {"sparsity": sparsity, "seed": seed, "out": str(cells / name)}
    try:
        run = RunConfig.from_dict(values)
    except ConfigError as error:
        raise ConfigError(f"{method} ({setting}): {error}") from error
    return Job(setting, method, sparsity, seed, run)


def _nested(key: str, value: Any) -> dict[str, Any]:
    """Return the mapping that a dotted name stands for; a layer pattern may hold dots itself."""
    head, dot, tail = key.partition(".")
    return {head: {tail: value}} if dot else {head: value}


def _slug(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.")
