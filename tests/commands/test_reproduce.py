"""`spikeprune reproduce`."""

from pathlib import Path

import pytest

from spikeprune.cli import main
from spikeprune.lab import reproduce as lab
from spikeprune.lab.compare import Machine
from spikeprune.lab.reproduce import SCALES, Request


@pytest.fixture
def asked(record):
    return record(lab, "reproduce", (Path("out/reproduce.html"), []))


def test_the_defaults_are_those_of_the_request(asked, capsys):
    assert main(["reproduce", "fig2"]) == 0
    assert asked[0]["request"] == Request(names=("fig2",))
    assert capsys.readouterr().out.endswith(
        f"\n{SCALES['smoke'].evidence}\npage: out/reproduce.html\n"
    )


def test_every_flag_reaches_the_request(asked):
    flags = "--scale cpu --out here --jobs 3 --threads 2 --data_root data --device cuda"
    assert main(["reproduce", "fig2", "cost", *flags.split(), "--seeds", "[4, 5]"]) == 0
    assert asked[0]["request"] == Request(
        names=("fig2", "cost"),
        scale="cpu",
        out="here",
        seeds=(4, 5),
        machine=Machine(jobs=3),
        threads=2,
        data_root="data",
        device="cuda",
    )


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["NAME"]),
        (["fig2", "--seeds", "[a]"], ["--seeds"]),
        (["fig2", "--jobs", "many"], ["--jobs", "'many'"]),
    ],
)
def test_wrong_usage_is_refused(asked, capsys, args, words):
    assert main(["reproduce", *args]) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert asked == []


def test_an_interrupt_names_the_folder(record, capsys):
    record(lab, "reproduce", KeyboardInterrupt())
    assert main(["reproduce", "fig2", "--out", "mine"]) == 130
    assert "the same command goes on with the runs in mine" in capsys.readouterr().err
