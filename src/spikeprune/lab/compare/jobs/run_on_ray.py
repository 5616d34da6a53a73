"""Run jobs on several machines as Ray tasks; all machines see one folder."""

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
    """Run jobs as Ray tasks and yield the outcome of each as it ends.

    A job whose worker is killed is restarted and resumes; one that fails is not. All machines must
    see the comparison's folder, the data and this version of spikeprune.
    """
    with _cluster(config, at_once(config, len(jobs))) as ray:
        task = ray.remote(
            max_calls=1,  # a process of its own for each job, as in `run_local`
            max_retries=config.machine.retries,
            num_cpus=config.base.threads or 1,
            num_gpus=1 if config.base.device == "cuda" else 0,
        )(_run_cell)
        running = {}
        for job in jobs:
            values = job.config.to_dict() | {"out": str(job.folder.path.absolute())}
            log = config.folder.log(job.name).absolute()
            running[task.remote(values, str(log), os.getcwd())] = (job, log)
        try:
            while running:
                (reference,), _ = ray.wait(list(running), num_returns=1)
                job, log = running.pop(reference)
                try:
                    code = ray.get(reference)
                except ray.exceptions.RayError as error:
                    first = str(error).strip().splitlines()[0]
                    yield Outcome(job, f"Ray gave it up: {first}")
                else:
                    yield outcome(job, code, log)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


def _run_cell(values: dict[str, Any], log: str, place: str) -> int:
    if os.path.isdir(place):  # of the driver: for relative paths and the user's own modules
        os.chdir(place)
    return run_cell(values, Path(log))


@contextmanager
def _cluster(config: CompareConfig, count: int) -> Iterator[Any]:
    """Connect to the cluster, or start one here; at the end shut down only what was started."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would ask the network
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # without a GPU: no warning
    try:
        import ray
    except ImportError as error:
        raise missing_extra("ray", "ray", "--engine ray") from error
    address, ours = config.machine.ray_address, not ray.is_initialized()
    if ours:
        cores = count * (config.base.threads or 1)
        local: dict[str, Any] = {"num_cpus": cores, "include_dashboard": False}
        try:
            ray.init(address, log_to_driver=False, **({} if address else local))
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
