"""Which runs an experiment needs, and the cells of all experiments together, each once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spikeprune.errors import ConfigError, RunError
from spikeprune.lab.compare.jobs.grid import Job, job_of, overridden
from spikeprune.lab.reproduce.scales import Scale, Setting
from spikeprune.lab.settings.config import RunConfig, differences

Key = tuple[str, str, float]
_MACHINE = ("data_root", "device", "threads", "compile", "precision")
"""Options that say where a cell is run: a finished one need not agree with what is asked now."""


@dataclass(frozen=True)
class Want:
    """A run that an experiment needs, of every seed.

    Attributes:
        setting: net, data and training.
        label: name in tables.
        options: the method and what is particular to this run, names with dots.
        sparsity: share to remove.
    """

    setting: Setting
    label: str
    sparsity: float
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """What tells it apart from the others."""
        return self.setting.name, self.label, self.sparsity


def want(scale: Scale, setting: Setting, method: str, sparsity: float, **options: Any) -> Want:
    """Return the run of a method; options with `__` for a dot are told in its label.

    What a method has of its own at this scale (rounds of `imp`) is put in.
    """
    given = {name.replace("__", "."): value for name, value in options.items()}
    words = [
        f"{name.rpartition('.')[2].replace('_', ' ')} {value}" for name, value in given.items()
    ]
    own = scale.imp if method == "imp" else {}
    return Want(setting, ", ".join([method, *words]), sparsity, {"method": method, **own, **given})


def jobs_of(
    wants: Iterable[Want],
    seeds: Sequence[int],
    *,
    cells: Path,
    common: Mapping[str, Any],
    curved: Iterable[Key] = (),
) -> list[Job]:
    """Return the cells of all these runs, each once however many experiments need it.

    Args:
        wants: of all experiments.
        seeds: each is a cell of its own.
        cells: folder of the run folders.
        common: fields that all runs get: where the data lie, on what to compute.
        curved: keys of runs that record the accuracies of every epoch.

    Raises:
        ConfigError: a run that cannot be made, or two that differ under one name.
    """
    distinct: dict[Key, Want] = {}
    for one in wants:
        known = distinct.setdefault(one.key, one)
        if known != one:
            raise ConfigError(f"two runs are called {one.key}: {known.options} and {one.options}")
    curved = frozenset(curved)
    made = []
    for one in distinct.values():
        values = overridden({**one.setting.values, **common}, dict(one.options))
        values["curves"] = one.key in curved
        made += [
            job_of(values, (one.setting.name, one.label), (one.sparsity, seed), cells=cells)
            for seed in seeds
        ]
    return made


def refuse_changed(jobs: Iterable[Job]) -> None:
    """Refuse finished cells that are other runs than those that are asked for now.

    Raises:
        RunError: naming the first one, and in what it differs.
    """
    for job in jobs:
        if not job.finished:
            continue
        there = RunConfig.load(job.folder.config)
        changed = differences(_what(there), _what(job.config))
        if changed:
            words = "; ".join(f"{n}: {old} there, {new} now" for n, (old, new) in changed.items())
            raise RunError(f"{job.folder.path} holds a different run ({words}); give another --out")


def _what(config: RunConfig) -> RunConfig:
    neutral = RunConfig(data=config.data, model=config.model)
    return replace(config, **{name: getattr(neutral, name) for name in _MACHINE})
