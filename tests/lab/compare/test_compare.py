import importlib
import subprocess
import sys
from contextlib import ExitStack

import pytest

from spikeprune.errors import ConfigError, RunError
from spikeprune.lab.compare import compare, load_cells
from spikeprune.lab.compare import load_and_write as results
from spikeprune.lab.compare.jobs.folder_claim import claim
from spikeprune.lab.compare.jobs.grid import jobs
from spikeprune.lab.compare.jobs.job_outcome import Outcome
from spikeprune.lab.run.locks import held
from spikeprune.lab.run.progress.display import Silent
from spikeprune.manifest import write_manifest

drive = importlib.import_module("spikeprune.lab.compare.compare")  # not the function


class Told(Silent):
    """Remembers the messages."""

    def __init__(self):
        self.messages = []

    def message(self, text):
        self.messages.append(text)


@pytest.fixture
def engine(monkeypatch, finish):
    """An engine that finishes each cell at once, but those in `errors` and `busy`."""

    class Engine:
        def __init__(self):
            self.started, self.errors, self.busy = [], {}, set()

        def __call__(self, waiting, config):
            for job in waiting:
                self.started.append(job.name)
                if job.name in self.busy:
                    self.busy.remove(job.name)
                    yield Outcome(job, busy=True)
                elif error := self.errors.get(job.name):
                    yield Outcome(job, error)
                else:
                    finish(job, 0.7 + 0.01 * job.seed)
                    yield Outcome(job)

    engine = Engine()
    monkeypatch.setitem(drive._ENGINES, "local", engine)
    monkeypatch.setattr(drive, "refuse_impossible", lambda jobs: None)
    monkeypatch.setattr(drive, "_POLL", 0.01)
    monkeypatch.setattr(results, "write_prints", lambda *_: [])
    return engine


def test_a_teacher_of_some_is_refused_unless_it_is_allowed(grid, engine):
    variants = {"taught": {"method": "magnitude", "teacher.weight": 0.7}}
    with pytest.raises(ConfigError, match="--mixed_teachers true"):
        compare(grid(variants=variants))
    assert not grid().folder.path.exists()
    compare(grid(base={"teacher": {"weight": 0.7}}, out=str(grid().folder.path) + "-all"))
    engine.started.clear()
    compare(grid(methods=["magnitude"]))
    with pytest.raises(ConfigError, match=r"taught .* learns from a teacher and magnitude"):
        compare(grid(methods=[], variants=variants))  # added to those of the folder
    assert len(engine.started) == 2
    page = compare(grid(methods=[], variants=variants, mixed_teachers=True))
    assert len(engine.started) == 4
    for text in (page.read_text(), grid().folder.table("md").read_text()):
        assert "With the dense net of the seed as teacher" in text
        assert "The runs differ in teacher: " in text


def test_all_cells_are_run_and_finished_ones_never_again(grid, engine):
    config, told = grid(), Told()
    page = compare(config, told)
    assert page == config.folder.page
    assert len(engine.started) == len(set(engine.started)) == 6
    assert told.messages[-1].startswith("6/6  criticality at sparsity 0.8, seed 1")
    assert "71.00" in told.messages[-1]
    assert compare(config) == page
    assert len(engine.started) == 6
    compare(grid(seeds=[1, 2]))
    assert len(engine.started) == 9
    assert all(name.endswith("seed2") for name in engine.started[6:])
    assert len(load_cells(config.folder.path)) == 9


def test_a_finished_cell_that_lost_a_file_is_run_again(grid, engine):
    config = grid()
    compare(config)
    first, *_ = jobs(config)
    write_manifest(first.folder.path, [], {"model.safetensors": b"weights"})
    compare(config)
    assert engine.started[6:] == [first.name]


def test_a_failed_cell_is_named_not_counted_and_tried_again(grid, engine):
    config, told = grid(methods=["magnitude", "criticality"]), Told()
    bad = jobs(config)[1].name
    engine.errors[bad] = "the loss is nan"
    with pytest.raises(RunError, match=rf"1 of 4 cells failed \({bad}: the loss is nan\)"):
        compare(config, told)
    assert any("failed: the loss is nan" in message for message in told.messages)
    assert len(load_cells(config.folder.path)) == 3
    assert f"{bad} failed: the loss is nan" in config.folder.table("md").read_text()
    assert f"{bad} failed: the loss is nan" in config.folder.page.read_text()
    engine.errors, engine.started = {}, []
    compare(config)
    assert engine.started == [bad]
    assert "failed" not in config.folder.table("md").read_text()


def test_results_are_there_after_each_cell_and_after_an_interrupt(grid, engine, monkeypatch):
    config = grid(methods=["magnitude"], seeds=[0, 1, 2])
    seen = []

    class Interrupts(Told):
        def message(self, text):
            if text.startswith("3/3"):
                raise KeyboardInterrupt
            if config.folder.table("csv").is_file():
                seen.append(len(load_cells(config.folder.path)))

    with pytest.raises(KeyboardInterrupt):
        compare(config, Interrupts())
    assert seen == [2]
    assert "| magnitude | 80\u00a0% | 3 |" in config.folder.table("md").read_text()
    assert config.folder.page.is_file()


def test_a_cell_that_another_process_runs_is_waited_for_and_taken_over(grid, engine):
    config, told = claim(grid(methods=["magnitude"], seeds=[0, 1])), Told()
    first, second = jobs(config)
    engine.busy = {first.name}
    first.config.save(first.folder.config)
    elsewhere = ExitStack()
    elsewhere.enter_context(held(first.folder.config, lambda: None))

    class Waiting(Told):
        def message(self, text):
            if text.startswith("waits for 1"):
                assert not first.finished
                elsewhere.close()
            told.message(text)

    compare(config, Waiting())
    assert engine.started == [first.name, second.name, first.name]
    assert [cell.seed for cell in load_cells(config.folder.path)] == [0, 1]
    assert any(message.startswith("waits for 1 cells") for message in told.messages)


def test_what_is_impossible_or_foreign_is_refused_before_anything_is_written(grid, engine):
    for fields in ({"methods": []}, {"methods": ["nope"]}, {"pairs": [["dense", "nope"]]}):
        with pytest.raises(ConfigError):
            compare(grid(**fields))
    assert not grid().folder.path.exists()
    compare(grid())
    with pytest.raises(RunError, match="different comparison"):
        compare(grid(base={"time_steps": 9}))
    assert len(engine.started) == 6


SHELL = """
import importlib
import sys
from pathlib import Path
from spikeprune.lab.compare import CompareConfig, compare
from spikeprune.lab.compare.jobs import run_local as local
from spikeprune.lab.compare import load_and_write as results
from spikeprune.lab.run_folder import ComparisonFolder
drive = importlib.import_module("spikeprune.lab.compare.compare")
local._WORKER = sys.argv[2]
drive._POLL, drive.refuse_impossible = 0.05, lambda jobs: None
results.write_prints = lambda *_: []
compare(CompareConfig.load(ComparisonFolder(Path(sys.argv[1]))))
"""


def test_two_shells_share_a_grid_and_run_each_cell_once(grid, stand_in, monkeypatch):
    config = claim(grid(methods=["magnitude"], seeds=[10, 11, 12, 13, 14], machine={"jobs": 1}))
    command = [sys.executable, "-c", SHELL, str(config.folder.path), stand_in]
    shells = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [shell.communicate(timeout=240)[1] for shell in shells]
    assert [shell.returncode for shell in shells] == [0, 0], errors
    ran = (config.folder.path.parent / "ran.txt").read_text().split()
    assert sorted(ran) == sorted(job.name for job in jobs(config))
    assert len(load_cells(config.folder.path)) == 5
    assert "5 runs" in config.folder.page.read_text()
