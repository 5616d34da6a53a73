import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spikeprune.errors import ConfigError
from spikeprune.lab.compare.jobs.grid import jobs
from spikeprune.lab.compare.jobs.run_on_ray import run_on_ray

SCRIPT = Path(__file__).with_name("ray_grid.py")
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'spikeprune[ray]'"
)


@needs_ray
def test_a_killed_worker_of_a_cluster_costs_no_cell(tmp_path):
    command = [sys.executable, str(SCRIPT), str(tmp_path / "study")]
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=480, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "study" / "compare.html").is_file()


def test_without_ray_the_extra_is_named(grid, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    config = grid(machine={"engine": "ray"})
    with pytest.raises(ConfigError, match=r"spikeprune\[ray\]"):
        next(run_on_ray(jobs(config), config))


class FakeRay:
    """As much of Ray as the engine uses: tasks are called when they are waited for."""

    class exceptions:
        class RayError(Exception):
            pass

    def __init__(self, results):
        self.results, self.options, self.cancelled, self.shut = results, {}, [], False

    def is_initialized(self):
        return False

    def init(self, address, **options):
        if address == "nowhere":
            raise ConnectionError("no answer")
        self.start = {"address": address} | options

    def remote(self, **options):
        self.options = options

        class Task:
            @staticmethod
            def remote(values, log, place):
                return values["seed"]

        return lambda function: Task

    def wait(self, references, num_returns):
        return references[:1], references[1:]

    def get(self, seed):
        if isinstance(self.results[seed], Exception):
            raise self.results[seed]
        return self.results[seed]()

    def cancel(self, reference, force):
        self.cancelled.append(reference)

    def shutdown(self):
        self.shut = True


@pytest.fixture
def fake(grid, finish, monkeypatch):
    """A config of three cells and a Ray that finishes, fails and gives up one each."""
    config = grid(
        methods=["magnitude"], seeds=[0, 1, 2], base={"threads": 2}, machine={"retries": 7}
    )
    made = jobs(config)

    def failed():
        log = config.folder.log(made[1].name)
        log.parent.mkdir(parents=True)
        log.write_text("06:00:00  error: no data\n")
        return 1

    lost = FakeRay.exceptions.RayError("The worker died unexpectedly.\nmore")
    ray = FakeRay({0: lambda: finish(made[0]) or 0, 1: failed, 2: lost})
    monkeypatch.setitem(sys.modules, "ray", ray)
    return config, ray


def test_how_tasks_end_is_told(fake):
    config, ray = fake
    ended = {one.job.seed: one.error for one in run_on_ray(jobs(config), config)}
    reason = "Ray gave it up: The worker died unexpectedly."
    assert ended == {0: None, 1: "no data", 2: reason}
    assert ray.options == {"max_calls": 1, "max_retries": 7, "num_cpus": 2, "num_gpus": 0}
    assert ray.start["include_dashboard"] is False
    assert ray.shut
    assert ray.cancelled == []
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_leaving_early_cancels_what_is_running(fake):
    config, ray = fake
    running = run_on_ray(jobs(config), config)
    next(running)
    running.close()
    assert ray.cancelled == [1, 2]
    assert ray.shut


def test_no_cluster_at_the_address(fake, grid):
    config = grid(machine={"engine": "ray", "ray_address": "nowhere"})
    with pytest.raises(ConfigError, match="no Ray cluster at nowhere"):
        next(run_on_ray(jobs(config), config))
