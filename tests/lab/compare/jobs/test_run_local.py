import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from spikeprune.lab.compare.jobs import run_local as local
from spikeprune.lab.compare.jobs.folder_claim import claim
from spikeprune.lab.compare.jobs.grid import jobs
from spikeprune.lab.compare.jobs.run_local import at_once, run_local


def alive(pid):
    """Whether a process runs; one that has ended but was not asked for its end does not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@needs_proc
def test_every_way_to_end_is_told_and_the_others_go_on(grid, stand_in):
    config = grid(methods=["magnitude"], seeds=[3, 4, 1, 2, 5, 0, 10], machine={"jobs": 2})
    ended = {one.job.seed: one for one in run_local(jobs(config), config)}
    assert {seed: (one.error, one.busy) for seed, one in ended.items()} == {
        0: (None, False),
        1: ("the loss is nan", False),
        2: ("ZeroDivisionError: a bug", False),
        3: ("killed by SIGKILL", False),
        4: ("its worker was killed", False),
        5: (None, True),
        10: (None, False),
    }
    pids = (ended[4].job.folder.path / "pids").read_text().split()
    until(lambda: not any(alive(pid) for pid in pids))  # the cell ends with its worker
    log = config.folder.log(ended[0].job.name).read_text()
    assert "seed 0 with 1 threads" in log


def test_a_file_called_like_a_module_of_python_is_not_taken_for_it(
    grid, stand_in, tmp_path, monkeypatch
):
    (tmp_path / "numbers.py").write_text("raise RuntimeError('not the module of Python')")
    monkeypatch.chdir(tmp_path)
    config = grid(methods=["magnitude"], seeds=[0], machine={"jobs": 1})
    assert [one.error for one in run_local(jobs(config), config)] == [None]


@needs_proc
def test_leaving_early_ends_the_cells_at_work(grid, stand_in):
    config = grid(methods=["magnitude"], seeds=[6, 0], machine={"jobs": 2})
    running = run_local(jobs(config), config)
    assert next(running).job.seed == 0
    file = jobs(config)[0].folder.path / "pids"
    until(file.is_file)
    until(lambda: len(file.read_text().split()) == 2)
    running.close()
    until(lambda: not any(alive(pid) for pid in file.read_text().split()))


DRIVER = """
import sys
from spikeprune.lab.compare.jobs import run_local as local
from spikeprune.lab.compare.jobs.compare_config import CompareConfig
from spikeprune.lab.compare.jobs.grid import jobs
from spikeprune.lab.run_folder import ComparisonFolder
from pathlib import Path
local._WORKER = sys.argv[2]
config = CompareConfig.load(ComparisonFolder(Path(sys.argv[1])))
print([one.error for one in local.run_local(jobs(config), config)])
"""


@needs_proc
def test_nothing_is_left_when_the_driver_is_killed(grid, stand_in):
    config = claim(grid(methods=["magnitude"], seeds=[6], machine={"jobs": 1}))
    command = [sys.executable, "-c", DRIVER, str(config.folder.path), stand_in]
    driver = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    file = jobs(config)[0].folder.path / "pids"
    until(lambda: file.is_file() and len(file.read_text().split()) == 2)
    pids = file.read_text().split()
    assert all(alive(pid) for pid in pids)
    driver.kill()
    driver.wait()
    until(lambda: not any(alive(pid) for pid in pids))


@needs_proc
def test_a_worker_that_still_imports_ends_with_the_driver(grid, tmp_path):
    config = claim(grid(methods=["magnitude"], seeds=[6], machine={"jobs": 1}))
    watch, sep, _ = local._WORKER.partition("; from ")
    assert sep
    pid = tmp_path / "pid"
    slow = f"; import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    command = [sys.executable, "-c", DRIVER, str(config.folder.path), watch + slow]
    driver = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until(lambda: pid.is_file() and pid.read_text())
    driver.kill()
    driver.wait()
    until(lambda: not alive(int(pid.read_text())), 20)


def test_how_many_at_once(grid, monkeypatch):
    monkeypatch.setattr(local, "_cores", lambda: 8)
    assert at_once(grid(), 100) == 8  # the base has one thread
    assert at_once(grid(base={"threads": 3}), 100) == 2
    assert at_once(grid(base={"threads": 16}), 100) == 1
    assert at_once(grid(base={"threads": None}), 100) == 8
    assert at_once(grid(), 3) == 3
    assert at_once(grid(machine={"jobs": 5}), 100) == 5
    assert at_once(grid(base={"device": "auto"}), 100) == 1
    assert at_once(grid(base={"device": "cuda"}, machine={"jobs": 2}), 100) == 2
