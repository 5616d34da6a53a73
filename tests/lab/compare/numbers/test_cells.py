import json

import pytest

from spikeprune.lab.compare.jobs.folder_claim import claim
from spikeprune.lab.compare.jobs.grid import jobs
from spikeprune.lab.compare.numbers.cells import VALUES, load_cells
from spikeprune.lab.run.results.versions import versions


def test_a_cell_tells_what_its_run_measured(grid, finish):
    config = claim(grid(methods=["magnitude"], seeds=[3]))
    (job,) = jobs(config)
    finish(job, 0.75, 0.875, synops=1234)
    (cell,) = load_cells(config.folder.path)
    assert (cell.setting, cell.method, cell.sparsity) == ("digits, vgg-small", "magnitude", 0.8)
    assert (cell.seed, cell.folder) == (3, job.folder.path)
    values = cell.values
    assert (values["test_accuracy"], values["dense_test_accuracy"]) == (0.75, 0.875)
    assert (values["drop"], values["validation_drop"]) == (0.125, 0.0625)
    assert values["sparsity"] == pytest.approx(0.9)
    assert (values["synops"], values["dense_epochs"]) == (1234, 10)
    assert cell.metrics["pruned"]["synops_per_sample"] == 1234
    assert (cell.facts["data"], cell.facts["T"]) == ("Fashion-MNIST", "4")


def test_only_finished_cells_are_there_in_the_order_of_the_grid(grid, finish):
    config = claim(grid())
    made = jobs(config)
    for number in (4, 0):
        finish(made[number])
    found = [(cell.method, cell.seed) for cell in load_cells(config.folder.path)]
    assert found == [("dense", 0), ("criticality", 0)]


def test_what_was_not_measured_is_none_and_says_so(grid, finish):
    config = claim(grid(methods=["magnitude"], seeds=[0]))
    (job,) = jobs(config)
    finish(job, None)
    metrics = json.loads(job.folder.metrics.read_text())
    for name in ("cost", "regrowth", "versions", "time_steps"):
        del metrics[name]
    del metrics["pruned"]["latency_ms"]
    job.folder.metrics.write_text(json.dumps(metrics))
    (cell,) = load_cells(config.folder.path)
    for name in ("test_accuracy", "drop", "latency_b1_ms", "wall_seconds", "survival"):
        assert cell.values[name] is None
    assert cell.facts["T"] == cell.facts["epochs"] == "not known"
    derived = {"sparsity", "drop", "validation_drop", "bytes", "dense_bytes"}
    assert cell.values.keys() == VALUES.keys() | derived
    assert cell.values["bytes"] == 4 * cell.values["parameters"]


def test_the_code_is_part_of_what_is_compared(grid, finish):
    config = claim(grid(methods=["magnitude"], seeds=[0]))
    finish(jobs(config)[0], versions=versions())
    (cell,) = load_cells(config.folder.path)
    assert cell.facts["code"] == f"0.1.0+{versions()['code']}"
    assert "torch" in cell.facts["libraries"]
    assert versions()["code"] not in cell.facts["libraries"]


def test_a_row_leads_to_the_run_from_where_the_file_lies(grid, finish, tmp_path):
    config = claim(grid(methods=["magnitude"], seeds=[0]))
    finish(jobs(config)[0])
    (cell,) = load_cells(config.folder.path)
    row = cell.as_json(config.folder.path)
    assert row["run"] == "cells/digits-vgg-small_magnitude_0.8_seed0"
    assert json.loads(json.dumps(row))["facts"]["threads"] == "2"
    assert cell.as_json(tmp_path / "other")["run"] == str(cell.folder)
