"""The engine of several machines: cells as Ray tasks, on a folder that all of them see."""

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spikeprune.errors import ConfigError, missing_extra
from spikeprune.lab.compare.jobs.compare_config import CompareConfig
from spikeprune.lab.compare.jobs.grid import Job
from spikeprune.lab.compare.jobs.job_outcome import Outcome, outcome
from spikeprune.lab.compare.jobs.run_local import at_once
from spikeprune.lab.compare.jobs.worker import run_cell


def run_on_ray(jobs: Sequence[Job], config: CompareConfig) -> Generator[Outcome, None, None]:
    """Run cells as Ray tasks and tell of each when it has ended.

    A cell whose worker is killed is started again by Ray, up to `machine.retries` times, and goes
    on from its last whole epoch. Cells that fail by themselves are not. All machines must see the
    comparison's folder, the data and this version of spikeprune. Ray's usage reports are off.

    Args:
        jobs: cells, in the order in which they are started.
        config: tells where to log and which cluster to use.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """
    with _cluster(config, at_once(config, len(jobs))) as ray:
        task = ray.remote(
            max_calls=1,  # a process of its own for each cell, as elsewhere
            max_retries=config.machine.retries,
            num_cpus=config.base.threads or 1,
            num_gpus=1 if config.base.device == "cuda" else 0,
        )(_run_cell)
        running = {}
        for job in jobs:
            log = config.folder.log(job.name).absolute()
            running[task.remote(_values(job), str(log), os.getcwd())] = (job, log)
        try:
            while running:
                (reference,), _ = ray.wait(list(running), num_returns=1)
                yield _outcome(ray, reference, *running.pop(reference))
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


def _run_cell(values: dict[str, Any], log: str, place: str) -> int:
    """Be the task: run a cell from the folder that the driver was started in, if it is here."""
    if os.path.isdir(place):  # relative paths and the user's own modules are meant from there
        os.chdir(place)
    return run_cell(values, Path(log))


def _values(job: Job) -> dict[str, Any]:
    return job.config.to_dict() | {"out": str(job.folder.path.absolute())}


@contextmanager
def _cluster(config: CompareConfig, count: int) -> Iterator[Any]:
    """Connect to the cluster, or start one here; leave what was running as it was."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would ask the network
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # without a GPU: no warning
    try:
        import ray
    except ImportError as error:
        raise missing_extra("ray", "ray", "--engine ray") from error
    address, ours = config.machine.ray_address, not ray.is_initialized()
    if ours:
        cpus = count * (config.base.threads or 1)
        start: dict[str, Any] = {"num_cpus": cpus, "include_dashboard": False}
        try:
            ray.init(address, log_to_driver=False, **({} if address else start))
        except ConnectionError as error:
            raise ConfigError(
                f"there is no Ray cluster at {address} ({error}); start one with `ray start "
                "--head`, or leave --ray_address out"
            ) from error
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


def _outcome(ray: Any, reference: Any, job: Job, log: Path) -> Outcome:
    try:
        return outcome(job, ray.get(reference), log)
    except ray.exceptions.RayError as error:
        return Outcome(job, f"Ray gave it up: {str(error).strip().splitlines()[0]}")
