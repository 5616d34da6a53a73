"""The configuration of a run: to YAML and back, strict about names, and what tells runs apart."""

import json
from dataclasses import fields, replace

import pytest
from docstring_parser import parse_from_object

from spikeprune.choices import check_choices, choices
from spikeprune.errors import ConfigError, RunError
from spikeprune.execution import precision
from spikeprune.lab.run.dense_net import dense_key
from spikeprune.lab.settings.config import (
    Epochs,
    Imp,
    Optimizer,
    RunConfig,
    Teacher,
    differences,
)
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.pruning.option_types import ChannelOptions

BASE = {"data": "digits", "model": "vgg-small"}


def config(**values):
    return RunConfig.from_dict(BASE | values)


FULL = {
    "limit": 100,
    "augment": ["crop", "flip"],
    "model_args": {"widths": [8, 16], "head": "average"},
    "sparsity": 0.9,
    "regrow_fraction": 0.1,
    "include": ["conv*"],
    "limits": {"conv1": [0.5, 1]},
    "criticality": {"space": "mean", "normalise": "layer"},
    "channels": {"budget": "macs", "round_to": 8},
    "epochs": {"prune": 3, "finetune": 2, "dense": 4},
    "optimizer": {"name": "adamw", "lr": 1e-3, "clip_norm": 1.0},
    "out": "runs/x",
    "threads": 2,
}


def test_yaml_round_trip(tmp_path):
    for values in ({}, FULL):
        before = config(**values)
        before.save(tmp_path / "config.yaml")
        assert RunConfig.load(tmp_path / "config.yaml") == before
    assert RunConfig.from_dict(before.to_dict()) == before
    json.dumps(before.to_dict())


def test_nested_values_arrive_and_keep_the_other_defaults():
    made = config(**FULL)
    assert made.epochs == Epochs(prune=3, finetune=2, dense=4)
    assert made.optimizer == Optimizer(name="adamw", lr=1e-3, clip_norm=1.0)
    assert made.criticality.space == "mean"
    assert made.criticality.time == "mean"
    assert made.limits == {"conv1": (0.5, 1.0)}
    assert made.augment == ("crop", "flip")


def test_epochs_count():
    assert Epochs(prune=3, finetune=2).total == 5
    assert config(epochs={"prune": 3, "finetune": 2}).dense_epochs == 5
    assert config(epochs={"prune": 3, "finetune": 2, "dense": 7}).dense_epochs == 7
    assert config(weights="net.safetensors").dense_epochs == 0
    assert config(weights="net.safetensors", epochs={"dense": 1}).dense_epochs == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sparsty": 0.9}, ["unknown field 'sparsty'", "sparsity", "time_steps"]),
        ({"epochs": {"prun": 1}}, ["'epochs.prun'", "epochs.prune", "epochs.finetune"]),
        ({"criticality": {"curve": "gauss"}}, ["gauss", "atan", "model"]),
        ({"criticality": {"curves": "atan"}}, ["criticality.curves", "criticality.curve"]),
        ({"epochs": 3}, ["mapping", "epochs"]),
        ({"time_steps": "four"}, ["time_steps", "whole number", "four"]),
        ({"time_steps": True}, ["time_steps", "whole number"]),
        ({"sparsity": "most"}, ["sparsity", "number", "most"]),
        ({"channels_last": 1}, ["channels_last", "true or false"]),
        ({"augment": "crop"}, ["augment", "list", "crop"]),
        ({"limits": {"a": [1]}}, ["limits.a", "2 values"]),
        ({"limits": [1]}, ["limits", "mapping"]),
        ({"model_args": 3}, ["model_args", "mapping"]),
    ],
)
def test_bad_values_are_refused_by_name(values, words):
    with pytest.raises(ConfigError) as error:
        config(**values)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_data_and_model_are_asked_for():
    with pytest.raises(ConfigError, match="data is missing"):
        RunConfig.from_dict({"model": "vgg-small"})
    with pytest.raises(ConfigError, match="model is missing"):
        RunConfig.from_dict({"data": "digits"})


def test_load_names_the_file(tmp_path):
    path = tmp_path / "mine.yaml"
    with pytest.raises(RunError, match=r"mine\.yaml"):
        RunConfig.load(path)
    path.write_text("data: [")
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        RunConfig.load(path)
    path.write_text("data: digits\nmodel: vgg-small\nfoo: 1\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml.*foo"):
        RunConfig.load(path)


def test_weights_settle_the_start():
    assert config().start == "init"
    assert config(weights="net.safetensors").start == "checkpoint"
    assert config(weights="net.safetensors", start="init").start == "init"


def test_folder_tells_runs_apart_and_has_no_separators_of_names():
    assert config(sparsity=0.9).folder.parts == (
        "runs",
        "digits_vgg-small_criticality-ranked_weight_0.9_seed0",
    )
    own = config(model="my.nets:build", data="/data/images", method="dense", sparsity=0.9)
    assert own.folder.parts == ("runs", "images_my.nets.build_dense_weight_seed0")
    assert config(out="here/x").folder.parts == ("here", "x")


def test_dense_hash_is_pinned():
    """A changed value makes every cached dense net of every user useless: only on purpose."""
    assert dense_key(config(precision="fp32")) == "f4f4176e3c96f76c"


DENSE = {
    "fuse": False,
    "static_first_layer": False,
    "input_operands": "analog",
    "data": "mnist",
    "data_root": "/x",
    "limit": 10,
    "validation": 0.2,
    "augment": ["flip"],
    "image_size": 16,
    "binning": "count",
    "batch_size": 32,
    "model": "vgg9",
    "model_args": {"head": "flatten"},
    "time_steps": 5,
    "neuron": "if",
    "reset": "soft",
    "preset": "paper-weight",
    "layout": "step",
    "epochs": {"finetune": 3},
    "optimizer": {"lr": 0.2},
    "loss": "per-step",
    "seed": 1,
}
NOT_DENSE = {
    "curves": True,
    "method": "magnitude",
    "granularity": "channel",
    "sparsity": 0.5,
    "regrow": "none",
    "regrow_fraction": 0.1,
    "saliency": "random",
    "fraction_schedule": "cosine",
    "fraction_of": "before",
    "regrow_within": "layer",
    "regrow_layers": "all",
    "regrow_until": "training",
    "initial_density": 0.5,
    "start_saliency": "snip",
    "budget": "synops",
    "within": {"weights": 0.5},
    "floor": 0.1,
    "rate_penalty": 0.1,
    "synops_penalty": 0.1,
    "teacher": {"weight": 0.5},
    "imp": {"rounds": 3},
    "allocation": "erk",
    "schedule": "linear",
    "every": 7,
    "settled_below": 0.5,
    "gate_penalty": 0.5,
    "gate_lr": 0.01,
    "gate_cost": "operands",
    "gradient_batches": 3,
    "initial_value": "previous",
    "include": ["a"],
    "exclude": ["b"],
    "limits": {"a": [0, 1]},
    "extensions": ["mine"],
    "criticality": {"space": "mean"},
    "channels": {"l1": 0.0},
    "out": "y",
    "device": "cuda",
    "threads": 1,
    "channels_last": False,
    "compile": "off",
}


def test_auto_precision_is_settled_by_the_device_and_kept(monkeypatch, tmp_path):
    for there, settled in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(precision, "has_bf16", lambda device, there=there: there)
        assert config().precision == settled
        config().save(tmp_path / f"{settled}.yaml")
        assert dense_key(config()) == dense_key(config(precision=settled))
    moved = RunConfig.load(tmp_path / "bf16.yaml")  # to a machine that would choose fp32
    assert differences(moved, config()) == {"precision": ("bf16", "fp32")}
    assert dense_key(moved) != dense_key(config())


def test_dense_hash_depends_on_what_the_dense_net_depends_on():
    base = dense_key(config(precision="bf16"))
    assert base != dense_key(config(precision="fp32"))
    for name, value in DENSE.items():
        assert dense_key(config(precision="bf16", **{name: value})) != base, name
    for name, value in NOT_DENSE.items():
        assert dense_key(config(precision="bf16", **{name: value})) == base, name
    assert dense_key(config(precision="bf16"), compiled=True) != base
    covered = {*DENSE, *NOT_DENSE, "weights", "start", "precision"}
    assert covered == {f.name for f in fields(RunConfig)}


def test_dense_hash_takes_total_epochs_and_the_checkpoint_s_content(tmp_path):
    split = [{"prune": 8, "finetune": 2}, {"prune": 4, "finetune": 6}, {"prune": 1, "dense": 10}]
    assert len({dense_key(config(epochs=epochs)) for epochs in split}) == 1
    weights = tmp_path / "net.safetensors"
    weights.write_bytes(b"one")
    first = dense_key(config(weights=str(weights)))
    weights.write_bytes(b"two")
    second = dense_key(config(weights=str(weights)))
    assert len({first, second, dense_key(config())}) == 3


def test_differences_name_fields_but_not_the_folder():
    one = config(epochs={"prune": 1}, out="a")
    assert differences(one, replace(one, out="c")) == {}
    assert differences(one, replace(one, data_root="b")) == {"data_root": (None, "b")}
    two = config(epochs={"prune": 2}, model_args={"width": 1})
    assert differences(one, two) == {
        "epochs.prune": (1, 2),
        "model_args": ({}, None),
        "model_args.width": (None, 1),
    }


def test_every_field_is_explained():
    for cls in (RunConfig, Epochs, Imp, Optimizer, Teacher, CriticalityOptions, ChannelOptions):
        docs = {p.arg_name for p in parse_from_object(cls).params if p.description}
        assert docs == {f.name for f in fields(cls)}


def test_defaults_are_among_the_choices():
    check_choices(config())
    closed = choices(RunConfig)
    assert closed["optimizer.name"] == ("sgd", "adamw")
    assert {"augment", "regrow", "criticality.curve", "channels.budget"} <= closed.keys()
    for values in ({"loss": "x"}, {"augment": ["flip", "x"]}, {"optimizer": {"name": "x"}}):
        with pytest.raises(ConfigError, match=r"unknown \S+ 'x'; expected one of"):
            check_choices(config(**values))


def test_the_default_method_depends_on_granularity_and_budget():
    assert config().method == "criticality-ranked"
    assert config(budget="synops").method == "criticality-erk"
    assert config(granularity="channel").method == "criticality"
    assert config(method="magnitude").method == "magnitude"
