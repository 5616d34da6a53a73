"""Experiments whose runs are finished without training."""

import json
from types import SimpleNamespace

import pytest

from spikeprune.lab.compare.numbers.cells import read_cell
from spikeprune.lab.reproduce import EXPERIMENTS, SCALES, Request
from spikeprune.lab.reproduce.experiment import ExperimentInputs
from spikeprune.lab.reproduce.reproduce import jobs

ACCURACY = {"magnitude": 0.70, "criticality": 0.80, "slimming": 0.60}
"""Of seed 0; others have 0.75 where not named, and seed 1 has 0.02 more."""


@pytest.fixture
def finish(fake_run):
    """`finish(job)`: write the results of a run."""

    def write(job, *, epochs=(4, 6), **metrics):
        fake = fake_run(method=job.config.method, seed=job.seed, layers=4, events=3)
        fake.write(job.folder.path)
        job.config.save(job.folder.config)
        values = json.loads(job.folder.metrics.read_text())
        values["pruned"]["test_accuracy"] = ACCURACY.get(job.method, 0.75) + 0.02 * job.seed
        values["dense"]["test_accuracy"] = 0.9
        values["pruned"]["density"] = 1 - job.sparsity
        own = 4 if "own" in job.method else 1
        values["cost"] |= {"pruning_epochs": epochs[0] * own, "total_epochs": epochs[1] * own}
        values["cost"] |= {"training_flops": 1e9 * own, "wall_seconds": 10.0 * own} | metrics
        job.folder.metrics.write_text(json.dumps(values))
        job.folder.report.write_text("a report")
        rows = [json.loads(line) for line in job.folder.history.read_text().splitlines()]
        for place, row in enumerate(rows):
            if job.config.curves and row.get("kind") == "epoch":
                row |= {"train_accuracy": 0.5 + 0.01 * place, "test_accuracy": 0.4 + 0.01 * place}
        job.folder.history.write_text("".join(json.dumps(row) + "\n" for row in rows))

    return write


@pytest.fixture
def measured(tmp_path, finish):
    """`measured("fig2")`: inputs and result of an experiment on finished runs of two seeds."""

    def make(name, seeds=(0, 1)):
        request = Request(names=(name,), out=str(tmp_path / "out"), seeds=seeds)
        experiment = EXPERIMENTS[name]
        asked = jobs([experiment], request)
        for job in asked:
            finish(job)
        cells = [read_cell(job) for job in asked]
        inputs = ExperimentInputs(SCALES["smoke"], cells, request.folder.measured)
        return SimpleNamespace(inputs=inputs, result=experiment.measure(inputs))

    return make


@pytest.fixture
def texts():
    """`texts(table, title, ...)`: the texts of these columns, a tuple per row."""

    def columns(table, *titles):
        places = [table.columns.index(title) for title in titles]
        return [tuple(row[place].text for place in places) for row in table.rows]

    return columns
