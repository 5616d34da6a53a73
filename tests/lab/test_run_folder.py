from pathlib import Path

import pytest

from spikeprune.errors import RunError
from spikeprune.lab.run_folder import ComparisonFolder, DenseFolder, RunFolder, dense_folder

NAMES = {
    "config": "config.yaml",
    "metrics": "metrics.json",
    "history": "history.jsonl",
    "model": "model.safetensors",
    "plan": "plan.json",
    "masks": "masks.safetensors",
    "checkpoints": "checkpoints",
    "tensorboard": "tensorboard",
    "report": "report.html",
}


def test_names_of_a_run_folder():
    folder = RunFolder(Path("runs/x"))
    for attribute, name in NAMES.items():
        assert getattr(folder, attribute) == Path("runs/x") / name
    assert folder.dense.model == Path("runs/x/dense/model.safetensors")
    assert folder.dense.history == Path("runs/x/dense/history.jsonl")


def test_a_dense_folder_has_the_names_of_a_run():
    dense, run = DenseFolder(Path("x")), RunFolder(Path("x"))
    for name in ("config", "metrics", "history", "model", "checkpoints"):
        assert getattr(dense, name) == getattr(run, name)


def test_names_of_a_comparison_are_all_different_and_below_it():
    folder = ComparisonFolder(Path("c"))
    names = ("config", "lock", "cells", "rows", "pairs", "figures", "page")
    found = [getattr(folder, name) for name in names]
    found += [folder.table("md"), folder.table("csv"), folder.log("seed0")]
    assert len(set(found)) == len(found)
    assert {path.parts[0] for path in found} == {"c"}
    assert folder.table("md") == Path("c/table.md")
    assert folder.log("seed0") == Path("c/logs/seed0.log")


def test_dense_nets_lie_beside_the_runs(tmp_path, monkeypatch):
    assert dense_folder(RunFolder(tmp_path / "x"), "abc").path == tmp_path / ".dense" / "abc"
    monkeypatch.chdir(tmp_path)
    assert dense_folder(RunFolder(Path("x")), "abc").path == tmp_path / ".dense" / "abc"


def test_existing_asks_for_a_run(tmp_path):
    with pytest.raises(RunError, match=r"config\.yaml"):
        RunFolder.existing(tmp_path)
    (tmp_path / "config.yaml").write_text("")
    assert RunFolder.existing(str(tmp_path)).path == tmp_path
