import json
import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

from spikeprune.errors import BusyError, RunError
from spikeprune.lab.compare.jobs import worker
from spikeprune.lab.compare.jobs.grid import jobs
from spikeprune.lab.compare.jobs.worker import BUSY, DONE, FAILED, run_cell
from spikeprune.lab.run.locks import held


@pytest.fixture
def job(grid):
    """The only job of a grid."""
    (job,) = jobs(grid(methods=["magnitude"], seeds=[0]))
    return job


@pytest.mark.parametrize(
    ("error", "code", "last"),
    [
        (None, DONE, "trained"),
        (RunError("the loss is nan"), FAILED, "error: the loss is nan"),
        (ZeroDivisionError("a bug"), FAILED, "ZeroDivisionError: a bug"),
        (BusyError("another process"), BUSY, "trained"),
    ],
)
def test_the_code_and_the_log_of_a_run(job, tmp_path, monkeypatch, error, code, last):
    configs = []

    def run(config, *, display):
        configs.append(config)
        display.message("trained")
        if error:
            raise error

    monkeypatch.setattr(worker, "run", run)
    log = tmp_path / "logs" / "a.log"
    assert run_cell(job.config.to_dict(), log) == code
    assert configs == [job.config]
    lines = log.read_text().splitlines()
    assert lines[0].endswith(f"process {os.getpid()}")
    assert lines[-1].endswith(last)


def test_a_run_of_another_process_is_left_alone(job, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "run", None)  # calling it would fail
    job.folder.path.mkdir(parents=True)
    job.config.save(job.folder.config)
    with ExitStack() as elsewhere:
        elsewhere.enter_context(held(job.folder.config, lambda: None))
        assert run_cell(job.config.to_dict(), tmp_path / "log") == BUSY
    assert not (tmp_path / "log").exists()


def test_a_worker_answers_each_job_with_its_exit_code(grid, stand_in):
    config = grid(methods=["magnitude"], seeds=[0, 1, 3, 5])
    process = subprocess.Popen(
        [sys.executable, "-c", stand_in],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    with process:  # its input stays open: a closed one ends the run
        answers = []
        for job in jobs(config):
            order = {"config": job.config.to_dict(), "log": str(config.folder.log(job.name))}
            print(json.dumps(order), file=process.stdin, flush=True)
            answers.append(int(process.stdout.readline()))
    assert answers == [DONE, FAILED, -9, BUSY]
    assert process.returncode == 0
