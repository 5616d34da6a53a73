"""The grid of a comparison as jobs, and the order in which they are started."""

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
from spikeprune.user_code import import_user_modules

Key = tuple[str, str, float | None]  # setting, method and target sparsity of a row of the table
_SET_BY_GRID = ("sparsity", "seed", "out")


@dataclass(frozen=True)
class Job:
    """A cell of the grid as something to run, finished or not; `Cell` holds what it measured."""

    setting: str  # data and net, or the name of a setting
    method: str  # name of the method or the variant
    sparsity: float | None  # target, a fraction; None if the method prunes nothing
    seed: int
    config: RunConfig  # with the folder of the run

    @property
    def key(self) -> Key:
        """Setting, method and target sparsity."""
        return self.setting, self.method, self.sparsity

    @property
    def name(self) -> str:
        """Name of the run's folder, unique in the grid."""
        return self.config.folder.name

    @property
    def folder(self) -> RunFolder:
        """Folder of the run."""
        return RunFolder(self.config.folder)

    @property
    def finished(self) -> bool:
        """Whether the run has results."""
        return self.folder.metrics.is_file()

    def __str__(self) -> str:
        """Words for messages."""
        target = "" if self.sparsity is None else f" at sparsity {self.sparsity:g}"
        return f"{self.method}{target}, seed {self.seed} ({self.setting})"


def jobs(config: CompareConfig, *, trust_code: bool = False) -> list[Job]:
    """Return the jobs of the grid in the order of the table; an error names the impossible cell.

    Extensions that the configuration names are imported with `trust_code` only. Without, a method
    that is not known is taken for one of theirs, which prunes.
    """
    made: list[Job] = []
    for setting, shared in _settings(config):
        for method, own in _methods(config):
            cell, options = f"{method} ({setting})", {**shared, **own}
            extensions = options.get("extensions", config.base.extensions)
            if trust_code:
                import_user_modules(extensions)
            foreign = bool(extensions) and not trust_code
            sparsities = _sparsities(config, cell, options, foreign=foreign)
            values = overridden(overridden(config.base.to_dict(), shared), own)
            made += [
                job_of(values, setting, method, sparsity, seed=seed, cells=config.folder.cells)
                for sparsity in sparsities
                for seed in config.seeds
            ]
    names: dict[str, Job] = {}
    for job in made:
        other = names.setdefault(job.name, job)
        if other is not job:
            raise ConfigError(f"{other} and {job} would share the folder {job.name}; rename one")
    return made


def spread(waiting: Iterable[Job]) -> list[Job]:
    """Return jobs ordered so that neighbours need different dense nets and never wait for one."""
    by_dense: dict[str, list[Job]] = defaultdict(list)
    for job in waiting:
        by_dense[dense_key(job.config)].append(job)
    ranked = ((rank, job) for group in by_dense.values() for rank, job in enumerate(group))
    return [job for _, job in sorted(ranked, key=lambda pair: pair[0])]


def _settings(config: CompareConfig) -> Iterator[tuple[str, Overrides]]:
    for name, options in config.settings.items():
        if "method" in options:
            raise ConfigError(f"setting {name}: method belongs to the grid; leave it out")
        yield name, options
    if not config.settings:
        for data in config.data_sets:
            for model in config.models:
                yield f"{data}, {model}", {"data": data, "model": model}


def _methods(config: CompareConfig) -> Iterator[tuple[str, Overrides]]:
    for name in config.methods:
        yield name, {"method": name}
    for name, options in config.variants.items():
        if "method" not in options:
            raise ConfigError(
                f"variant {name} names no method; add one, as {{{name}: {{method: criticality}}}}"
            )
        yield name, options


def _sparsities(
    config: CompareConfig, cell: str, options: Overrides, *, foreign: bool
) -> tuple[float | None, ...]:
    """Return the targets of a method; a `foreign` one may be an extension's."""
    for name in _SET_BY_GRID:
        if name in options:
            raise ConfigError(f"{cell}: {name} belongs to the grid; leave it out of the options")
    granularity = options.get("granularity", config.base.granularity)
    try:
        prunes = find(options["method"], granularity).prunes
    except ConfigError as error:
        if not foreign:
            raise ConfigError(f"{cell}: {error}") from error
        prunes = True
    if not prunes:
        return (None,)
    if not config.sparsities:
        raise ConfigError(f"{cell} needs a sparsity; give --sparsities '[0.9]'")
    return config.sparsities


def overridden(values: dict[str, Any], options: Overrides) -> dict[str, Any]:
    """Return the fields of a run with options put in; `a.b` is field `b` of the mapping `a`."""
    model_first = sorted(options.items(), key=lambda option: option[0] != "model")
    for key, value in model_first:  # because another model drops the arguments of the last one
        head, dot, tail = key.partition(".")  # the tail may be a layer's name with further dots
        values = merge(values, {head: {tail: value} if dot else value})
    return values


def job_of(
    values: dict[str, Any],
    setting: str,
    method: str,
    sparsity: float | None,
    *,
    seed: int,
    cells: Path,
) -> Job:
    """Return a job from the fields of its run; `cells` is the folder of all run folders."""
    target = "" if sparsity is None else f"_{sparsity:g}"
    name = slug(f"{setting}_{method}{target}_seed{seed}")
    values = values | {"sparsity": sparsity, "seed": seed, "out": str(cells / name)}
    try:
        run = RunConfig.from_dict(values)
    except ConfigError as error:
        raise ConfigError(f"{method} ({setting}): {error}") from error
    return Job(setting, method, sparsity, seed, run)


def slug(text: str) -> str:
    """Return text as part of a file name."""
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.")
