"""Options of a run that can have no effect: a rule for each field, and the words for each rule."""

from dataclasses import fields, is_dataclass

import pytest

from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.recipes import read_recipe, recipe_names
from spikeprune.lab.settings.without_effect import ALWAYS, RULES, Facts, without_effect

BASE = {"data": "digits", "model": "vgg-small", "sparsity": 0.8, "out": "x"}
WEIGHTS = {"weights": "w.safetensors"}


def leaves(options, prefix=""):
    for f in fields(options):
        value = getattr(options, f.name)
        if is_dataclass(value):
            yield from leaves(value, f"{f.name}.")
        else:
            yield prefix + f.name


def test_every_field_of_a_run_has_a_rule_or_always_an_effect():
    names = set(leaves(RunConfig.from_dict(BASE)))
    assert names == RULES.keys() | ALWAYS
    assert not RULES.keys() & ALWAYS


def found(values, **facts):
    config = RunConfig.from_dict(BASE | values)
    return dict(one.split(" has no effect: ") for one in without_effect(config, Facts(**facts)))


DENSE = {"method": "dense", "sparsity": None}
LOADER = {"data": "mine:loaders"}
ALL = {
    "limit": 100,
    "validation": 0.2,
    "augment": ["flip"],
    "image_size": 8,
    "batch_size": 32,
    "data_root": "d",
}
CASES = {
    "nothing but what must be given": ({}, {}, {}),
    "channels in a run of weights": (
        {"channels": {"floor": 4, "budget": "macs"}},
        {},
        {
            "channels.floor 4": "single weights are pruned, not channels",
            "channels.budget macs": "single weights are pruned, not channels",
        },
    ),
    "channels": ({"granularity": "channel", "channels": {"floor": 4}}, {}, {}),
    "events of channels": (
        {"granularity": "channel", "every": 10},
        {},
        {"every 10": "channels are pruned in one event, at the end of the pruning phase"},
    ),
    "momentum of adamw": (
        {"optimizer": {"name": "adamw", "momentum": 0.5}},
        {},
        {"optimizer.momentum 0.5": "the optimiser is adamw, which has moments of its own"},
    ),
    "momentum of sgd": ({"optimizer": {"momentum": 0.5}}, {}, {}),
    "binning of images": (
        {"binning": "count"},
        {},
        {"binning count": "the data are images, not recordings of events"},
    ),
    "binning of recordings": ({"binning": "count"}, {"kind": "events"}, {}),
    "static layers of recordings": (
        {"static_first_layer": False},
        {"kind": "events"},
        {"static_first_layer False": "frames of events differ in every time step"},
    ),
    "static layers of images": ({"static_first_layer": False}, {}, {}),
    "one-shot": (
        {"method": "magnitude", "schedule": "one-shot", "every": 10},
        {},
        {"every 10": "schedule one-shot has one event"},
    ),
    "at the start": (
        {"method": "snip", "every": 10},
        {},
        {"every 10": "schedule at-start has one event"},
    ),
    "rounds": (
        {"method": "imp", "every": 10, "imp": {"rounds": 3, "share": 0.5}},
        {},
        {
            "every 10": "an event ends each round of imp",
            "imp.share 0.5": "imp.rounds says how often weights are dropped",
        },
    ),
    "no rounds": (
        {"imp": {"rewind": 1, "rounds": 3, "share": 0.5, "budget": "own"}},
        {},
        dict.fromkeys(
            ("imp.rewind 1", "imp.rounds 3", "imp.share 0.5", "imp.budget own"),
            "the method criticality-ranked trains in no rounds",
        ),
    ),
    "criticality that nothing is scored by": (
        {"method": "magnitude", "criticality": {"curve": "atan", "weight": "post*pre"}},
        {},
        {
            "criticality.curve atan": "magnitude take no criticality",
            "criticality.weight post*pre": "regrowth is by none, not by criticality",
        },
    ),
    "criticality": ({"criticality": {"curve": "atan", "weight": "post*pre"}}, {}, {}),
    "values without regrowth": (
        {"method": "magnitude", "initial_value": "previous", "regrow_fraction": 0.0},
        {},
        dict.fromkeys(
            ("initial_value previous", "regrow_fraction 0.0"),
            "nothing is brought back (regrow is none)",
        ),
    ),
    "regrowth of no share": (
        {"regrow": "random", "regrow_fraction": 0.0, "regrow_within": "layer"},
        {},
        dict.fromkeys(
            ("regrow random", "regrow_within layer"),
            "nothing is brought back (regrow_fraction is 0)",
        ),
    ),
    "dense": (
        {
            "method": "dense",
            "regrow": "random",
            "rate_penalty": 0.1,
            "curves": True,
            "synops_penalty": 0.1,
            "teacher": {"weight": 0.5, "temperature": 3.0},
        },
        {},
        dict.fromkeys(
            (
                "sparsity 0.8",
                "regrow random",
                "rate_penalty 0.1",
                "synops_penalty 0.1",
                "teacher.weight 0.5",
                "teacher.temperature 3.0",
                "curves True",
            ),
            "the method is dense, which prunes nothing",
        ),
    ),
    "no teacher": (
        {"teacher": {"temperature": 3.0, "per_step": True}},
        {},
        dict.fromkeys(
            ("teacher.temperature 3.0", "teacher.per_step True"),
            "teacher.weight is 0, so there is no teacher",
        ),
    ),
    "a teacher of a single step": (
        {"teacher": {"weight": 0.5, "per_step": True}, "time_steps": 1},
        {},
        {"teacher.per_step True": "a single time step is its own mean"},
    ),
    "epochs of dense": (
        DENSE | {"epochs": {"prune": 3, "dense": 5}},
        {},
        {"epochs.prune 3": "the dense net trains for epochs.dense"},
    ),
    "epochs of dense, added up": (
        DENSE | {"epochs": {"prune": 3, "finetune": 5}},
        {},
        {},
    ),
    "a checkpoint as it is": (
        WEIGHTS | DENSE | {"optimizer": {"lr": 0.5}, "epochs": {"prune": 3}},
        {},
        dict.fromkeys(
            ("optimizer.lr 0.5", "epochs.prune 3"),
            "nothing is trained: the method is dense, from a checkpoint",
        ),
    ),
    "a checkpoint to prune": (WEIGHTS | {"optimizer": {"lr": 0.5}, "epochs": {"prune": 3}}, {}, {}),
    "neurons of a net of one's own": (
        {"model": "mine:net", "neuron": "plif", "reset": "soft", "preset": "paper-weight"},
        {},
        dict.fromkeys(
            ("neuron plif", "reset soft", "preset paper-weight"),
            "mine:net builds the neurons of its net itself",
        ),
    ),
    "neurons of a net by name": ({"neuron": "plif", "reset": "soft"}, {}, {}),
    "a loader that takes nothing": (
        LOADER | ALL,
        {"loader_takes": frozenset()},
        dict.fromkeys(
            (
                "limit 100",
                "validation 0.2",
                "augment [flip]",
                "image_size 8",
                "batch_size 32",
                "data_root d",
            ),
            "mine:loaders has no parameter of that name",
        ),
    ),
    "a loader that takes some": (
        LOADER | ALL,
        {"loader_takes": frozenset({"limit", "validation", "image_size", "augment", "root"})},
        {"batch_size 32": "mine:loaders has no parameter of that name"},
    ),
    "a loader that takes all": (LOADER | ALL, {"loader_takes": None}, {}),
    "a root of data in a package": (
        {"data_root": "d"},
        {},
        {"data_root d": "the data come with a package"},
    ),
    "a root of a folder": (
        {"data": "./images", "data_root": "d"},
        {},
        {"data_root d": "the data are in the folder ./images"},
    ),
    "a root of a set": ({"data": "cifar10", "data_root": "d"}, {}, {}),
    "a root that is the folder": ({"data": "folder", "data_root": "d"}, {}, {}),
    "one time step": (
        {"time_steps": 1, "loss": "per-step"},
        {},
        {"loss per-step": "both losses are the same for a single time step"},
    ),
    "kernels without fused neurons": (
        {"compile": "off", "fuse": False},
        {},
        {"compile off": "fuse is false, and only fused neurons are compiled"},
    ),
    "kernels": ({"compile": "on", "threads": 2}, {}, {}),
    "kernels and threads on CUDA": (
        {"compile": "on", "threads": 2},
        {"on_cuda": True},
        {
            "compile on": "kernels are compiled for the CPU only",
            "threads 2": "the nets compute on CUDA",
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_options_are_named_where_they_have_no_effect_and_only_there(case):
    values, facts, expected = CASES[case]
    assert found(values, **facts) == expected


@pytest.mark.parametrize("name", recipe_names())
def test_no_recipe_has_an_option_without_effect(name):
    config = RunConfig.from_dict({"sparsity": 0.8} | read_recipe(name))
    kind = "events" if config.data == "nmnist" else "static"
    assert not without_effect(config, Facts(kind=kind))
