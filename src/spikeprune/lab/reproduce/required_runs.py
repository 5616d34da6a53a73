"""The runs that experiments need, as jobs; a run that several experiments need is one job."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spikeprune.errors import ConfigError, RunError
from spikeprune.lab.compare.jobs.compare_config import Overrides
from spikeprune.lab.compare.jobs.grid import Job, Key, job_of, overridden
from spikeprune.lab.reproduce.scales import Scale, Setting
from spikeprune.lab.settings.config import RunConfig, differences

# Options that say where a run is made: a finished run may differ in them.
_MACHINE = ("data_root", "device", "threads", "compile", "precision")


@dataclass(frozen=True)
class RequiredRun:
    """A run that an experiment needs, with every seed."""

    setting: Setting  # net, data and training
    label: str  # name in tables
    sparsity: float  # target, a fraction
    options: Overrides = field(default_factory=dict)  # method and further options of this run

    @property
    def key(self) -> Key:
        """Setting, label and sparsity; equal keys mean one run."""
        return self.setting.name, self.label, self.sparsity


def required_run(
    scale: Scale, setting: Setting, method: str, sparsity: float, **options: Any
) -> RequiredRun:
    """Return the run of a method, labelled with its further options; `a__b` means `a.b`."""
    given = {name.replace("__", "."): value for name, value in options.items()}
    words = [
        f"{name.rpartition('.')[2].replace('_', ' ')} {value}" for name, value in given.items()
    ]
    own = scale.imp if method == "imp" else {}
    label = ", ".join([method, *words])
    return RequiredRun(setting, label, sparsity, {"method": method, **own, **given})


def jobs_of(
    runs: Iterable[RequiredRun],
    seeds: Sequence[int],
    *,
    cells: Path,
    common: Mapping[str, Any],
    curved: Collection[Key] = (),
) -> list[Job]:
    """Return the jobs of required runs, each once for every seed.

    All get the fields `common`; those with keys in `curved` record the accuracies of every epoch.
    """
    distinct: dict[Key, RequiredRun] = {}
    for run in runs:
        known = distinct.setdefault(run.key, run)
        if known != run:
            raise ConfigError(f"two runs are called {run.key}: {known.options} and {run.options}")
    made = []
    for run in distinct.values():
        values = overridden({**run.setting.values, **common}, dict(run.options))
        values["curves"] = run.key in curved
        name = run.setting.name
        made += [
            job_of(values, name, run.label, run.sparsity, seed=seed, cells=cells) for seed in seeds
        ]
    return made


def refuse_changed(jobs: Iterable[Job]) -> None:
    """Refuse finished runs whose options differ from those of the jobs, except machine options."""
    for job in jobs:
        if not job.finished:
            continue
        there = _without_machine(RunConfig.load(job.folder.config))
        changed = differences(there, _without_machine(job.config))
        if changed:
            words = "; ".join(f"{n}: {old} there, {new} now" for n, (old, new) in changed.items())
            raise RunError(f"{job.folder.path} holds a different run ({words}); give another --out")


def _without_machine(config: RunConfig) -> RunConfig:
    neutral = RunConfig(data=config.data, model=config.model)
    return replace(config, **{name: getattr(neutral, name) for name in _MACHINE})
