import json
from dataclasses import replace

import pytest

from spikeprune.lab.report.run_record import SCHEMA, read_record
from spikeprune.lab.report.run_rows import RunMetrics
from spikeprune.lab.run.progress.display import Silent
from spikeprune.lab.run.progress.tracker import Tracker
from spikeprune.lab.run.results.metrics_json import assemble, peak_rss_bytes
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.prune import prune
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig


def session(**values):
    base = {
        "data": "digits",
        "limit": 100,
        "batch_size": 20,
        "method": "dense",
        "out": "runs/a b",
        "model": "vgg-small",
        "model_args": {"widths": [4], "strides": [2]},
        "time_steps": 2,
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
    assert (found["criticality"], found["cut"]) == ({}, {})
    assert found["notes"] == ["the method is dense: nothing was pruned"]
    regrown = assemble(session(regrow="random"), DENSE, DENSE["metrics"], None)["notes"]
    assert "regrow random has no effect: the method is dense, which prunes nothing" in regrown
    assert found["schema"] == SCHEMA
    assert found.keys() == RunMetrics.__annotations__.keys()
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("granularity", ["weight", "channel"])
def test_of_a_pruned_net_the_pruner_s_events_and_the_cut_are_told(tmp_path, granularity):
    one = session(
        method="criticality",
        granularity=granularity,
        sparsity=0.5,
        every=2,
        curves=True,
        epochs={"prune": 2, "finetune": 1},
    )
    tracker = Tracker(tmp_path / "history.jsonl", None, Silent(), steps_per_epoch=5)
    result = prune(one, RunFolder(tmp_path), tracker, Silent())
    found = assemble(one, DENSE, {"density": 0.5}, result)
    assert found.keys() == RunMetrics.__annotations__.keys()
    assert (found["dense"], found["pruned"]) == (DENSE["metrics"], {"density": 0.5})
    cost = found["cost"]
    assert (cost["pruning_epochs"], cost["total_epochs"]) == (2, 3)
    assert cost["training_flops"] == result.cost.flops
    assert cost["dense"] == {"total_epochs": 3, "training_flops": 6.0, "wall_seconds": 1.5}
    events = found["regrowth"]["events"]
    steps = [2, 4, 6, 8, 10] if granularity == "weight" else [10]
    assert [(event["step"], event["epoch"]) for event in events] == [(n, n / 5) for n in steps]
    known = [event["survival"] for event in events if event["survival"] is not None]
    mean = found["regrowth"]["survival_mean"]
    assert mean == (pytest.approx(sum(known) / len(known)) if known else None)
    for name, scores in found["criticality"].items():
        assert scores == pytest.approx(result.pruner.last_scores[name].tolist(), abs=1e-6)
    assert found["cut"]["channels_after"] == result.cut.after
    assert any("test accuracy was recorded" in note for note in found["notes"])
    assert any("below the budget" in note for note in found["notes"]) == (granularity == "channel")
    json.dumps(found, allow_nan=False)


def test_the_command_can_be_pasted_whatever_the_folder_is_called():
    found = assemble(session(), DENSE, DENSE["metrics"], None)
    assert found["command"] == "spikeprune run --recipe 'runs/a b/config.yaml'"


def test_the_command_says_that_it_trusts_the_code_of_the_configuration():
    own = session(extensions=("json",))
    assert assemble(own, DENSE, DENSE["metrics"], None)["command"].endswith(" --trust-code")


@pytest.mark.parametrize(
    ("asked", "kind", "once"),
    [(True, "static", True), (False, "static", False), (True, "events", False)],
)
def test_the_first_layer_runs_once_for_static_images_alone(asked, kind, once):
    one = session(static_first_layer=asked)
    one = replace(one, loaded=replace(one.data, info=replace(one.data.info, kind=kind)))
    assert assemble(one, DENSE, DENSE["metrics"], None)["static_first_layer"] is once


def test_the_report_reads_what_is_assembled(tmp_path):
    found = assemble(session(), DENSE, DENSE["metrics"], None)
    RunFolder(tmp_path).finish(found)
    assert read_record(tmp_path).dense == DENSE["metrics"]


def test_memory_is_in_bytes():
    assert 5e7 < peak_rss_bytes() < 1e12
