"""`spikeprune evaluate` and `spikeprune report`."""

import json

import pytest

from spikeprune.cli import main
from spikeprune.lab import compare
from spikeprune.lab.report import report
from spikeprune.lab.run.results import measure


@pytest.fixture
def evaluated(record):
    return record(measure, "evaluate_folder", {"dense": {"test_accuracy": 0.9}})


def test_evaluate_measures_the_folder(evaluated, tmp_path, capsys):
    line = ["evaluate", str(tmp_path), "--data_root", "here", "--device", "auto"]
    assert main(line) == 0
    assert "90.00" in capsys.readouterr().out
    assert main([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"dense": {"test_accuracy": 0.9}}
    assert (
        evaluated
        == [{"folder": tmp_path, "data_root": "here", "device": "auto", "trust_code": False}] * 2
    )


def test_evaluate_takes_the_cpu_and_the_run_s_own_data(evaluated, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["evaluate", "~/run"]) == 0
    expected = {"folder": tmp_path / "run", "data_root": None, "device": "cpu"}
    assert evaluated == [{**expected, "trust_code": False}]


def test_report_of_a_run(record, tmp_path, capsys):
    written = record(report, "write_report", tmp_path / "report.html")
    assert main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"report: {tmp_path / 'report.html'}\n"
    assert written == [{"folder": tmp_path}]


def test_report_of_a_comparison(record, tmp_path, capsys):
    (tmp_path / "compare.yaml").touch()
    runs = record(report, "write_report")
    loaded = record(compare, "load_comparison", compare.Comparison([]))
    written = record(compare, "write_results", tmp_path / "compare.html")
    assert main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"page: {tmp_path / 'compare.html'}\n"
    assert list(loaded[0].values()) == [tmp_path]
    assert list(written[0].values()) == [compare.Comparison([]), tmp_path]
    assert runs == []


@pytest.mark.parametrize(
    ("command", "words"),
    [("evaluate", "expected the folder of a run"), ("report", "expected a finished run")],
)
def test_a_folder_without_a_run_is_refused(command, words, tmp_path, capsys):
    assert main([command, str(tmp_path)]) == 1
    assert words in capsys.readouterr().err
