import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from spikeprune.cli import main
from spikeprune.errors import ConfigError, ModelError, RunError
from spikeprune.files import read_json, write_json
from spikeprune.inference.event_driven import numba_installed
from spikeprune.lab.run.results import measure as evaluate_run
from spikeprune.lab.run.results.measure import (
    dense_synops,
    evaluate_folder,
    latencies_of,
    measure,
)
from spikeprune.lab.run.run import run
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.manifest import NAME, file_checksum
from spikeprune.measuring.evaluate import evaluate
from spikeprune.science.masks import Mask
from spikeprune.training.checkpoint import save_tensors

BASE = {
    "data": "digits",
    "limit": 100,
    "batch_size": 20,
    "sparsity": 0.7,
    "every": 2,
    "model": "vgg-small",
    "model_args": {"widths": [4, 8], "strides": [2, 1]},
    "time_steps": 2,
    "epochs": {"prune": 1, "finetune": 0},
    "threads": 1,
}


def finish(folder, **values):
    config = RunConfig.from_dict(BASE | {"out": str(folder)} | values)
    run(config)
    return RunFolder(config.folder)


def timeless(side):
    return {name: value for name, value in side.items() if name != "latency_ms"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"exclude": ["stem.*"]},
        {"granularity": "channel"},
        {"granularity": "channel", "exclude": ["stem.*"]},
        {"method": "dense", "sparsity": None, "epochs": {"prune": 0, "finetune": 1}},
    ],
    ids=str,
)
def test_what_the_run_said_is_found_again_in_its_files(tmp_path, values):
    folder = finish(tmp_path / "x", **values)
    said, found = read_json(folder.metrics), evaluate_folder(folder.path)
    for side in ("dense", "pruned"):
        assert timeless(found[side]) == timeless(said[side])
        assert found[side]["latency_ms"].keys() == {"b1", "b32"}
    assert found["folder"] == str(folder.path)
    assert found["data"] == "scikit-learn digits"


@pytest.mark.slow
@pytest.mark.skipif(not numba_installed(), reason="numba is not installed")
def test_a_weight_sparse_net_is_measured_event_driven_too(tmp_path):
    folder = finish(tmp_path / "x")
    for found in (read_json(folder.metrics), evaluate_folder(folder.path)):
        event = found["event_driven"]
        assert event["latency_ms"].keys() == {"b1", "b32"}
        assert all(value > 0 for value in event["latency_ms"].values())
        assert event["latency_threads"] == 1
        assert event["layers"].keys() == {"dense", "events", "lanes"}
        assert sum(event["layers"].values()) == 3
        assert found["notes"] == []


@pytest.mark.slow
@pytest.mark.parametrize("values", [{"sparsity": 0.3}, {"granularity": "channel"}], ids=str)
def test_a_net_without_many_zeros_is_not(tmp_path, values):
    found = evaluate_folder(finish(tmp_path / "x", **values).path)
    assert (found["event_driven"], found["notes"]) == (None, [])


@pytest.mark.slow
def test_without_numba_the_row_is_left_out_and_a_note_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate_run, "numba_installed", lambda: False)
    folder = finish(tmp_path / "x")
    for found in (read_json(folder.metrics), evaluate_folder(folder.path)):
        assert found["event_driven"] is None
        assert "spikeprune[eventdriven]" in found["notes"][-1]


@pytest.mark.slow
def test_a_live_weight_of_0_is_live(tmp_path):
    """The density is that of the masks: a weight that came back at 0 may still stand there."""
    folder = finish(tmp_path / "x")
    tensors = load_file(folder.model)
    weight = tensors["head.classifier.weight"]
    alive = weight.nonzero()[0]
    weight[tuple(alive)] = 0.0
    save_tensors(folder.model, tensors)
    (folder.path / NAME).unlink()
    plan = read_json(folder.plan)
    write_json(folder.plan, plan | {"weights": file_checksum(folder.model)})
    found = evaluate_folder(folder.path)["pruned"]
    said = read_json(folder.metrics)["pruned"]
    assert found["density"] == said["density"]
    assert found["nonzero_parameters"] == said["nonzero_parameters"] - 1


@pytest.mark.slow
def test_it_needs_neither_the_checkpoint_nor_where_the_run_was(tmp_path, monkeypatch):
    start = tmp_path / "start.safetensors"
    shutil.copy(finish(tmp_path / "first").dense.model, start)
    folder = finish(tmp_path / "x", weights=str(start))
    start.unlink()
    monkeypatch.chdir(tmp_path)
    shutil.move(folder.path, tmp_path / "moved")
    said = read_json(tmp_path / "moved" / "metrics.json")
    found = evaluate_folder(tmp_path / "moved")
    assert timeless(found["pruned"]) == timeless(said["pruned"])
    assert timeless(found["dense"]) == timeless(said["dense"])


def test_a_run_that_is_not_finished_is_refused(tmp_path):
    RunConfig.from_dict(BASE).save(tmp_path / "x" / "config.yaml")
    with pytest.raises(RunError, match=r"plan\.json"):
        evaluate_folder(tmp_path / "x")
    with pytest.raises(RunError, match=r"config\.yaml"):
        evaluate_folder(tmp_path)


@pytest.mark.slow
def test_files_that_do_not_fit_together_are_refused(tmp_path):
    folder = finish(tmp_path / "x")
    other = finish(tmp_path / "y", model_args={"widths": [5, 8], "strides": [2, 1]})
    shutil.copy(other.masks, folder.masks)
    with pytest.raises(RunError, match=r"masks\.safetensors has \d+ bytes, not"):
        evaluate_folder(folder.path)
    (folder.path / NAME).unlink()
    with pytest.raises(ModelError):
        evaluate_folder(folder.path)


def test_from_the_command_line(tmp_path, capsys):
    folder = finish(tmp_path / "x")
    assert main(["evaluate", str(folder.path), "--json", "--device", "auto"]) == 0
    found = json.loads(capsys.readouterr().out)
    accuracy = read_json(folder.metrics)["pruned"]["test_accuracy"]
    assert found["pruned"]["test_accuracy"] == accuracy
    assert main(["evaluate", str(folder.path), "--device", "tpu"]) == 2
    assert "expected one of: auto, cpu, cuda" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        evaluate_folder(folder.path, device="tpu")


# -- without a run --------------------------------------------------------------------------------


def session(**values):
    return Session(RunConfig.from_dict(BASE | values))


def halved(model):
    """Masks of two layers, every second weight live; the dead weights of the net become 0."""
    masks = {}
    for name in ("body.conv2.weight", "head.classifier.weight"):
        weight = model.get_parameter(name)
        masks[name] = (torch.arange(weight.numel()) % 2 == 0).view(weight.shape)
        weight.data[~masks[name]] = 0
    return Mask(masks)


@pytest.mark.parametrize(
    ("granularity", "density"),
    [("weight", 0.5), ("channel", (36 + 288 / 2 + 80 / 2) / (36 + 288 + 80))],
)
def test_the_density_is_about_masked_layers_for_weights_and_all_for_channels(granularity, density):
    one = session(granularity=granularity)
    model = one.built()
    mask = halved(model)
    found = measure(one, model, pruned=mask, cut=mask)
    assert found.density == pytest.approx(density)
    assert found.latency_ms is None
    assert found.validation_accuracy is not None
    assert measure(one, one.built(), pruned=None, cut=None).density == 1


def test_synops_of_the_dense_net_are_counted_on_whole_batches_of_training_samples(
    tmp_path, monkeypatch
):
    folder = RunFolder(tmp_path)
    assert dense_synops(session(), folder) is None
    assert dense_synops(session(granularity="channel"), folder) is None
    one = session(budget="synops")
    save_tensors(folder.dense.model, one.built().state_dict())
    monkeypatch.setattr(evaluate_run, "_SYNOPS_SAMPLES", 30)  # of batches of 20: the first two
    batches = list(one.moved(one.data.score))[:2]
    layers = evaluate(
        one.built(), batches, time_steps=2, wiring=one.wiring, classes=10, latency=False
    ).layers
    expected = {row.name: row.synops for row in layers}
    assert dense_synops(one, folder) == pytest.approx(expected)
    channels = session(granularity="channel", channels={"budget": "synops"})
    assert dense_synops(channels, folder) == pytest.approx(expected)
    assert dense_synops(session(synops_penalty=0.5), folder) == pytest.approx(expected)


def test_latencies_are_those_of_both_nets(monkeypatch):
    one = session()
    monkeypatch.setattr(evaluate_run, "numba_installed", lambda: False)
    found = latencies_of(one, dense=one.built(), pruned=one.built())
    assert found.dense.keys() == found.pruned.keys() == {"b1", "b32"}
    assert (found.event_driven, found.notes) == (None, [])
    sparse = one.built()
    halved(sparse)
    nn.init.zeros_(sparse.stem.conv.weight)
    noted = latencies_of(one, dense=one.built(), pruned=sparse)
    assert noted.event_driven is None
    assert len(noted.notes) == 1
