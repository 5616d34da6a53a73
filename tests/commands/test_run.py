"""`spikeprune run`."""

from pathlib import Path

import pytest

from spikeprune.cli import main
from spikeprune.commands import run as command
from spikeprune.errors import RunError
from spikeprune.lab.run import run as lab
from spikeprune.lab.run.progress.display import Silent


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ran(record):
    return record(lab, "run", Path("x/report.html"))


def test_it_runs_the_configuration_and_names_the_report(ran, run_flags, capsys):
    assert main(["run", *run_flags, "--out", "x", "--epochs.prune", "3"]) == 0
    (call,) = ran
    assert (call["config"].out, call["config"].epochs.prune) == ("x", 3)
    assert "report: x/report.html" in capsys.readouterr().out


def test_only_the_first_of_several_processes_prints(ran, run_flags, monkeypatch, capsys):
    monkeypatch.setattr(command, "launched", lambda: (1, 2))
    assert main(["run", *run_flags]) == 0
    assert isinstance(ran[0]["display"], Silent)
    assert capsys.readouterr().out == ""


def test_the_configuration_is_checked_before_the_run(ran, record, run_flags, capsys):
    checked = record(command, "check", RunError("no room on this disk"))
    assert main(["run", *run_flags]) == 1
    assert capsys.readouterr().err == "spikeprune: error: no room on this disk\n"
    assert len(checked) == 1
    assert ran == []


def test_an_interrupt_names_the_folder(record, run_flags, capsys):
    record(lab, "run", KeyboardInterrupt())
    assert main(["run", *run_flags, "--out", "mine"]) == 130
    assert "the same command goes on with the run in mine" in capsys.readouterr().err
