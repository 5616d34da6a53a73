import pytest
import torch

from spikeprune.errors import BudgetError, ConfigError
from spikeprune.files import read_json
from spikeprune.lab.run import plan as plan_module
from spikeprune.lab.run.plan import plan
from spikeprune.lab.run.run import run
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = {
        "data": "digits",
        "limit": 100,
        "batch_size": 20,
        "sparsity": 0.7,
        "every": 2,
        "model": "vgg-small",
        "model_args": {"widths": [4, 8], "strides": [2, 1]},
        "time_steps": 2,
        "epochs": {"prune": 2, "finetune": 1},
        "threads": 1,
        "out": "x",
    }
    return lambda **values: RunConfig.from_dict(base | values)


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"exclude": ["stem.*"]},
        {"method": "criticality", "schedule": "one-shot"},
        {"method": "magnitude"},
    ],
    ids=str,
)
def test_the_plan_is_what_the_run_then_does(config, tmp_path, values):
    planned = plan(config(**values))
    assert list(tmp_path.iterdir()) == []
    run(config(**values))
    metrics = read_json(RunFolder(tmp_path / "x").metrics)
    events, dense = metrics["regrowth"]["events"], metrics["dense"]
    pruning = planned["pruning"]
    assert pruning["granularity"] == "weight"
    assert pruning["events"] == len(events)
    assert pruning["weights"] == sum(row["total"] for row in events[-1]["layers"].values())
    assert pruning["live_at_the_end"] == events[-1]["live"]
    assert pruning["pruned_layers"] == list(events[-1]["layers"])
    most = max(event["regrown"] for event in events)
    assert most <= pruning["regrown_per_event_at_most"]
    assert (pruning["regrown_per_event_at_most"] == 0) == (most == 0)
    assert planned["parameters"] == dense["parameters"]
    assert planned["model"] == metrics["model"]
    assert planned["training_samples"] == metrics["data"]["samples"]["train"]
    layers = {row["name"]: torch.Size(row["shape"]).numel() for row in dense["layers"]}
    assert {row["name"]: row["weights"] for row in planned["layers"]} == layers
    assert planned["prunable_weights"] == sum(layers.values())
    assert [row["operand"] for row in planned["layers"]] == [
        row["operand"] for row in dense["layers"]
    ]
    flops = 6 * planned["macs_per_sample"] * 20 * 3 * planned["steps_per_epoch"]
    assert metrics["cost"]["training_flops"] == flops
    assert planned["epochs"] == {"dense": 3, "pruned": 3}


def test_channels(config, tmp_path):
    planned = plan(config(granularity="channel", channels={"budget": "macs"}))["pruning"]
    assert planned["budget"] == "macs"
    assert planned["events"] == 1
    assert {row["name"]: row["channels"] for row in planned["groups"]} == {
        "stem.conv": 4,
        "body.conv2": 8,
    }
    run(config(granularity="channel", channels={"budget": "macs"}))
    before = read_json(RunFolder(tmp_path / "x").metrics)["cut"]["channels_before"]
    assert sum(before.values()) == sum(row["channels"] for row in planned["groups"])


def test_a_dense_run_prunes_nothing(config):
    planned = plan(config(method="dense", sparsity=None))
    assert planned["pruning"] is None
    assert planned["epochs"] == {"dense": 3, "pruned": 0}
    assert list(planned) == [
        "data", "training_samples", "model", "parameters", "prunable_weights", "macs_per_sample",
        "pruning", "layers", "neurons", "notes", "steps_per_epoch", "seconds_per_step",
        "seconds_per_epoch", "epochs", "estimated_training_seconds", "peak_memory_bytes",
    ]  # fmt: skip


def test_time_is_extrapolated_from_whole_steps(config, monkeypatch):
    ticks = iter(range(0, 1000, 2))  # the first step is left out: it warms up
    monkeypatch.setattr(plan_module.time, "perf_counter", lambda: next(ticks))
    planned = plan(config())
    assert planned["seconds_per_step"] == 2
    assert planned["seconds_per_epoch"] == 2 * 5
    assert planned["estimated_training_seconds"] == 2 * 5 * (3 + 3)
    assert planned["peak_memory_bytes"] > 5e7


def test_one_step_an_epoch_is_enough_to_time(config):
    assert plan(config(batch_size=100, every=1))["seconds_per_step"] > 0


def test_a_taken_folder_is_no_reason_against_a_plan(config, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "notes.txt").write_text("mine")
    assert plan(config())["steps_per_epoch"] == 5


def test_what_the_run_would_refuse_is_refused(config):
    with pytest.raises(ConfigError, match="no pruning event"):
        plan(config(every=50))
    with pytest.raises(BudgetError, match="floors"):
        plan(config(granularity="channel", sparsity=0.95))


def test_the_neurons_that_were_found(config):
    planned = plan(config())
    assert planned["neurons"][0] == {
        "name": "body.spike1",
        "class": "LIFNode",
        "found_by": "spikingjelly",
        "threshold": 1.0,
        "surrogate": "ATan",
        "fed_by": ["stem.conv"],
    }
    assert planned["notes"] == []


def test_options_without_effect_are_noted(config):
    (note,) = plan(config(channels={"floor": 3}))["notes"]
    assert note == "channels.floor 3 has no effect: single weights are pruned, not channels"
