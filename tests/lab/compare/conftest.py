"""Grids whose runs are finished without training."""

import json
from pathlib import Path

import pytest

from spikeprune.lab.compare import CompareConfig, jobs
from spikeprune.lab.compare.jobs import run_local as local
from spikeprune.lab.compare.jobs.folder_claim import claim

STAND_IN = Path(__file__).with_name("stand_in.py")
BASE = {
    "data": "digits",
    "limit": 200,
    "batch_size": 40,
    "threads": 1,
    "model": "vgg-small",
    "model_args": {"widths": [4, 8], "strides": [2, 1]},
    "time_steps": 2,
    "every": 2,
    "epochs": {"prune": 2, "finetune": 1},
    "optimizer": {"name": "adamw", "lr": 0.02},
}


@pytest.fixture(scope="session")
def base():
    """Fields of a tiny run."""
    return BASE


@pytest.fixture
def grid(tmp_path):
    """`grid(methods=[...], ...)`: the configuration of a comparison in a folder of the test."""

    def make(**fields):
        values = {
            "base": BASE | fields.pop("base", {}),
            "methods": ["dense", "magnitude", "criticality"],
            "sparsities": [0.8],
            "seeds": [0, 1],
            "out": str(tmp_path / "study"),
        }
        return CompareConfig.from_dict(values | fields)

    return make


@pytest.fixture(scope="session")
def finish(fake_run):
    """`finish(job, accuracy=0.5, threads=4)`: write the results of a job; keys of the metrics."""

    def write(job, accuracy=0.8, dense=0.9, synops=None, **metrics):
        kind = fake_run(method=job.config.method, seed=job.seed, layers=4, events=2)
        kind.write(job.folder.path)
        job.config.save(job.folder.config)
        values = json.loads(job.folder.metrics.read_text()) | metrics
        for side, accuracy_of in (("pruned", accuracy), ("dense", dense)):
            values[side]["test_accuracy"] = accuracy_of
            values[side]["validation_accuracy"] = None if accuracy_of is None else accuracy_of / 2
        if synops is not None:
            values["pruned"]["synops_per_sample"] = synops
        job.folder.metrics.write_text(json.dumps(values))
        job.folder.report.write_text("a report")

    return write


@pytest.fixture
def finished(grid, finish):
    """`finished({"magnitude": [0.7, 0.8]}, ...)`: a grid with an accuracy per method and seed."""

    def make(accuracies, **fields):
        seeds = max(len(values) for values in accuracies.values())
        config = claim(grid(methods=list(accuracies), seeds=list(range(seeds)), **fields))
        for job in jobs(config):
            values = accuracies[job.method]
            if job.seed < len(values):
                finish(job, values[job.seed])
        return config

    return make


@pytest.fixture
def metrics(fake_run, tmp_path):
    """A file of metrics that stand-in runs copy."""
    fake_run(method="magnitude", layers=3, events=1).write(tmp_path / "fake")
    return tmp_path / "fake" / "metrics.json"


@pytest.fixture
def stand_in(monkeypatch, metrics):
    """Workers that train nothing."""
    code = f"import sys, runpy; sys.argv = [{str(STAND_IN)!r}, {str(metrics)!r}]; "
    code += f"runpy.run_path({str(STAND_IN)!r}, run_name='__main__')"
    monkeypatch.setattr(local, "_WORKER", code)
    return code
