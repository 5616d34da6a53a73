import json
from dataclasses import replace

import pytest

from spikeprune.lab.report.run_record import SCHEMA, read_record
from spikeprune.lab.run.results.metrics_json import assemble, peak_rss_bytes
from spikeprune.lab.run.session import Session
from spikeprune.lab.settings.config import RunConfig


def session(**values):
    base = {
        **{"data": "digits", "limit": 100, "batch_size": 20, "method": "dense", "out": "runs/a b"},
        **{"model": "vgg-small", "model_args": {"widths": [4], "strides": [2]}, "time_steps": 2},
    }
    return Session(RunConfig.from_dict(base | values))


DENSE = {
    "metrics": {"test_accuracy": 0.5},
    "cost": {"total_epochs": 3, "flops": 6.0, "flops_sparse": 6.0, "seconds": 1.5},
}


def test_without_pruning_the_cost_is_the_dense_net_s():
    found = assemble(session(), DENSE, DENSE["metrics"], None)
    cost = found["cost"]
    assert (cost["pruning_epochs"], cost["total_epochs"], cost["training_flops"]) == (0, 3, 6.0)
    assert cost["dense"] == {"total_epochs": 3, "training_flops": 6.0, "wall_seconds": 1.5}
    assert found["regrowth"] == {"events": [], "survival_mean": None}
    assert found["notes"] == ["the method is dense: nothing was pruned"]
    assert found["schema"] == SCHEMA
    json.dumps(found, allow_nan=False)


def test_the_command_can_be_pasted_whatever_the_folder_is_called():
    found = assemble(session(), DENSE, DENSE["metrics"], None)
    assert found["command"] == "spikeprune run --recipe 'runs/a b/config.yaml'"


@pytest.mark.parametrize(
    ("asked", "kind", "once"),
    [(True, "static", True), (False, "static", False), (True, "events", False)],
)
def test_the_first_layer_runs_once_for_static_images_alone(asked, kind, once):
    one = session(static_first_layer=asked)
    data = one.data
    one.__dict__["data"] = replace(data, info=replace(data.info, kind=kind))
    assert assemble(one, DENSE, DENSE["metrics"], None)["static_first_layer"] is once


def test_the_report_reads_what_is_assembled(tmp_path):
    found = assemble(session(), DENSE, DENSE["metrics"], None)
    (tmp_path / "metrics.json").write_text(json.dumps(found))
    assert read_record(tmp_path).dense == DENSE["metrics"]


def test_memory_is_in_bytes():
    assert 5e7 < peak_rss_bytes() < 1e12
