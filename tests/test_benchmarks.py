"""Benchmarks run; nothing is asserted on time."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

GROUPS = ("training", "memory", "pruning", "neurons", "eventdriven", "distributed")


@pytest.mark.parametrize("group", GROUPS)
def test_quick_benchmarks_print_ratios_and_write_json(group, tmp_path, capsys, monkeypatch):
    root, target = Path(__file__).parents[1], tmp_path / "rows.json"
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(root)
    options = ["--quick", "--only", group, "--json", str(target)]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *options])
    importlib.import_module("benchmarks.__main__").main()  # a group runs in a process of its own
    said, rows = capsys.readouterr().out, json.loads(target.read_text())["rows"]
    assert rows
    for row in rows:
        assert row["ours_cost"] > 0
        assert row["ratio"] == row["ours_cost"] / row["against_cost"]
        assert f"{row['measured']:.3f}" in said


def test_scaling_is_measured_and_drawn(tmp_path):
    points, plot = tmp_path / "points.json", tmp_path / "scaling.png"
    options = ["--quick", "--json", str(points), "--plot", str(plot)]
    command = [sys.executable, "-m", "benchmarks.scaling", *options]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(points.read_text())
    assert {"time steps T", "batch", "prunable layers"} < {point["axis"] for point in found}
    assert all(point["ours"] > 0 and point["event"] > 0 for point in found)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_profile_shares_out_the_whole_step(tmp_path):
    target = tmp_path / "profile.json"
    command = [sys.executable, "-m", "benchmarks.profile", "--quick", "--json", str(target)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for columns in json.loads(target.read_text())["shares"].values():
        for shares in columns.values():
            assert sum(shares.values()) == pytest.approx(1)
            assert {"convolution, forward", "convolution, backward"} <= shares.keys()


def test_the_page_is_made_of_the_raw_results(monkeypatch):
    root = Path(__file__).parents[1]
    monkeypatch.syspath_prepend(root)
    page = importlib.import_module("benchmarks.page").page()
    assert page == (root / "docs" / "benchmarks.md").read_text()
    rows = json.loads((root / "docs" / "benchmarks.json").read_text())["rows"]
    assert all(f"{row['measured']:.3f}" in page for row in rows)


def test_precision_is_compared_seed_by_seed_and_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    options = ["--recipe", "smoke", "--limit", "60", "--epochs", "1", "--seeds", "2"]
    paths = ["--out", str(tmp_path / "runs"), "--json", str(tmp_path / "found.json")]
    monkeypatch.setattr(sys, "argv", ["benchmarks.precision", *options, *paths])
    compare, results = importlib.import_module("benchmarks.precision"), []
    for _ in range(2):
        compare.main()
        assert "difference, points" in capsys.readouterr().out
        results.append(json.loads((tmp_path / "found.json").read_text()))
    found = results[0]
    assert results[1]["rows"] == found["rows"]  # seconds too: nothing was trained again
    gaps = [row["bf16"]["dense"] - row["fp32"]["dense"] for row in found["rows"]]
    assert found["totals"]["dense"]["differences"] == gaps
    assert found["totals"]["dense"]["mean"] == sum(gaps) / 2
