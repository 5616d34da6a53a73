"""`spikeprune analyze`."""

import json
from pathlib import Path

import pytest

from spikeprune.cli import main
from spikeprune.lab import analysis
from spikeprune.lab.analysis.output import terminal


@pytest.fixture
def analysed(record):
    return record(analysis, "analyze", ({"runs": ["a"]}, Path("a/analysis.html")))


@pytest.fixture
def printed(record):
    return record(terminal, "print_analysis")


def test_one_run_with_the_defaults(analysed, printed, capsys):
    assert main(["analyze", "a"]) == 0
    (call,) = analysed
    say = call.pop("say")
    assert call == {
        "folders": [Path("a")],
        "out": None,
        "data_root": None,
        "device": "cpu",
        "samples": 10_000,
        "files_only": False,
        "trust_code": False,
    }
    assert list(printed[0].values())[1] == {"runs": ["a"]}
    assert capsys.readouterr().out == "analysis: a/analysis.html\n"
    say("half done")
    assert capsys.readouterr() == ("", "half done\n")


def test_two_runs_with_every_flag(analysed, printed, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    flags = "--out ~/out --samples 7 --files_only --data_root here --device cuda"
    assert main(["analyze", "a", "b", *flags.split()]) == 0
    (call,) = analysed
    assert call["folders"] == [Path("a"), Path("b")]
    assert (call["out"], call["data_root"]) == (tmp_path / "out", "here")
    assert (call["samples"], call["files_only"], call["device"]) == (7, True, "cuda")


def test_json_alone_goes_to_standard_output(analysed, printed, capsys):
    assert main(["analyze", "a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"runs": ["a"]}
    assert printed == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["FOLDER is missing"]),
        (["a", "b", "c"], ["'c'"]),
        (["a", "--samples", "few"], ["--samples", "'few'"]),
    ],
)
def test_wrong_usage_is_refused(analysed, capsys, args, words):
    assert main(["analyze", *args]) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert analysed == []
