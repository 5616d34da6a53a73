"""Refuse a grid with an impossible cell before its first run, naming the cell."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from spikeprune.errors import ConfigError, SpikePruneError
from spikeprune.lab.compare.jobs.grid import Job
from spikeprune.lab.run.check import check
from spikeprune.lab.run.dense_net import dense_key
from spikeprune.lab.run.preflight import try_pruning, try_training
from spikeprune.lab.run.session import Session
from spikeprune.lab.settings.config import RunConfig, Teacher

MIXED_TEACHERS = (
    "their difference would not be that of the methods. Give --teacher.weight to all, or "
    "--mixed_teachers true if the teacher is what you compare"
)
"""Why runs with and without a teacher are not compared, and the way out."""


def refuse_impossible(jobs: Iterable[Job]) -> None:
    """Check each unfinished job as its run would; train one step per dense net, write nothing."""
    distinct: dict[str, tuple[Job, RunConfig]] = {}  # jobs that differ only by seed are one
    for job in (job for job in jobs if not job.finished):
        with _naming(job):
            check(job.config)
        seedless = replace(job.config, seed=0, out=None)
        distinct.setdefault(repr(seedless), (job, seedless))
    session: Session | None = None
    nets: set[tuple[str, Teacher]] = set()
    for job, config in distinct.values():
        with _naming(job):
            session = session.beside(config) if session else Session(config)
            check(config, steps_per_epoch=session.steps_per_epoch, folder=False)
            try_pruning(session)
            net = dense_key(config), config.teacher
            if net not in nets:
                try_training(session)
                nets.add(net)


def refuse_mixed_teachers(jobs: Iterable[Job]) -> None:
    """Refuse a setting in which some pruned nets learn from the dense net and others do not."""
    first: dict[tuple[str, bool], Job] = {}
    for job in jobs:
        if job.sparsity is None:
            continue
        taught = job.config.has_teacher
        other = first.get((job.setting, not taught))
        if other is not None:
            one, rest = (job, other) if taught else (other, job)
            raise ConfigError(f"{one} learns from a teacher and {rest} does not; {MIXED_TEACHERS}")
        first.setdefault((job.setting, taught), job)


@contextmanager
def _naming(job: Job) -> Iterator[None]:
    try:
        yield
    except SpikePruneError as error:
        raise type(error)(f"{job}: {error}") from error
