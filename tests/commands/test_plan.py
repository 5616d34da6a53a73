"""`spikeprune plan`."""

import json

import pytest

from spikeprune.cli import main
from spikeprune.commands import plan as command
from spikeprune.lab.run import plan as lab


@pytest.fixture
def planned(record):
    return record(lab, "plan", {"parameters": 1234, "data": "digits"})


def test_it_prints_words_or_json(planned, run_flags, capsys):
    assert main(["plan", *run_flags]) == 0
    assert "1,234" in capsys.readouterr().out
    assert main(["plan", *run_flags, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"parameters": 1234, "data": "digits"}
    assert [call["config"].sparsity for call in planned] == [0.9, 0.9]


def test_the_configuration_is_checked_but_not_its_folder(planned, record, run_flags):
    checked = record(command, "check")
    assert main(["plan", *run_flags, "--seed", "3"]) == 0
    (call,) = checked
    assert (call["config"].seed, call["folder"]) == (3, False)
    assert call["config"] is planned[0]["config"]


def test_what_cannot_run_is_not_planned(planned, run_flags, capsys):
    assert main(["plan", *run_flags, "--time_steps", "0"]) == 2
    assert "time_steps" in capsys.readouterr().err
    assert planned == []


def test_an_interrupt_has_nothing_to_go_on_with(record, run_flags, capsys):
    record(lab, "plan", KeyboardInterrupt())
    assert main(["plan", *run_flags]) == 130
    assert "interrupted; nothing is lost" in capsys.readouterr().err
