"""Refuse a grid with an impossible cell before its first run, naming the cell."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from spikeprune.errors import SpikePruneError
from spikeprune.lab.compare.jobs.grid import Job
from spikeprune.lab.run.check import check
from spikeprune.lab.run.dense_net import dense_key
from spikeprune.lab.run.preflight import try_pruning, try_training
from spikeprune.lab.run.session import Session
from spikeprune.lab.settings.config import RunConfig


def refuse_impossible(jobs: Iterable[Job]) -> None:
    """Check every unfinished cell as its run would, cheaply; nothing is written or trained.

    No seed makes a cell impossible, so cells are tried without regard to it. Cells that share data
    read them once, cells that share a net make the trial step once.

    Raises:
        SpikePruneError: of the kind that the cell's own run would raise, naming the cell.
    """
    waiting = [job for job in jobs if not job.finished]
    for job in waiting:
        with _naming(job):
            check(job.config)
    distinct: dict[str, Job] = {}
    for job in waiting:
        distinct.setdefault(repr(_seedless(job.config)), job)
    session: Session | None = None
    nets: set[str] = set()
    for job in distinct.values():
        config = _seedless(job.config)
        with _naming(job):
            session = session.beside(config) if session else Session(config)
            _try(session, nets)


def _seedless(config: RunConfig) -> RunConfig:
    return replace(config, seed=0, out=None)


@contextmanager
def _naming(job: Job) -> Iterator[None]:
    try:
        yield
    except SpikePruneError as error:
        raise type(error)(f"{job}: {error}") from error


def _try(session: Session, nets: set[str]) -> None:
    check(session.config, steps_per_epoch=session.steps_per_epoch, folder=False)
    try_pruning(session)
    net = dense_key(session.config)
    if net not in nets:
        try_training(session)
        nets.add(net)
