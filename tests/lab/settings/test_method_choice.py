"""The method of a run: the command line and the library mean the same by a name."""

from dataclasses import fields

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from spikeprune.errors import ConfigError
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.method_choice import overrides_of, prune_options, resolve
from spikeprune.pruning.method_rows import METHODS
from spikeprune.pruning.methods import options_for
from spikeprune.pruning.option_types import ChannelOptions
from spikeprune.pruning.options import CRITERIA, PruneOptions, PruneOverrides
from spikeprune.pruning.pruner import Pruner

BASE = {"data": "digits", "model": "vgg-small", "sparsity": 0.9}
ROWS = [(m.name, granularity) for m in METHODS for granularity in m.granularities]


def config(**values):
    return RunConfig.from_dict(BASE | values)


def options_of_pruner(**overrides):
    """The options of a `Pruner` that is only asked for a sparsity, and for these."""
    model = nn.Sequential(
        layer.Linear(6, 40), layer.BatchNorm1d(40), neuron.LIFNode(), layer.Linear(40, 3)
    )
    functional.set_step_mode(model, "m")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Pruner(
        model,
        optimizer,
        torch.zeros(1, 6),
        time_steps=2,
        total_steps=30,
        sparsity=0.9,
        **overrides,
    ) as pruner:
        return pruner.options


@pytest.mark.parametrize(
    "overrides", [{}, {"budget": "synops"}, {"granularity": "channel"}], ids=str
)
def test_the_default_of_library_and_command_line_is_one(overrides):
    options = options_of_pruner(**overrides)
    assert options == options_for("auto", sparsity=0.9, **overrides)
    assert options == prune_options(RunConfig(**BASE, **overrides))


@pytest.mark.parametrize(("name", "granularity"), ROWS)
def test_a_name_stands_for_the_same_options_on_both_sides(name, granularity):
    by_name = config(method=name, granularity=granularity)
    if name in ("dense", "imp"):  # of whole runs alone
        with pytest.raises(ConfigError, match=r"prunes nothing|trains in rounds"):
            options_for(name, sparsity=0.9, granularity=granularity)
        return
    expected = options_for(name, sparsity=0.9, granularity=granularity)
    assert prune_options(by_name) == expected
    changed = {"every": 7, "exclude": ("head",), "initial_value": "previous"}
    assert prune_options(config(method=name, granularity=granularity, **changed)) == options_for(
        name, sparsity=0.9, granularity=granularity, **changed
    )


def test_a_run_has_every_option_of_the_pruner():
    names = {f.name for f in fields(RunConfig)}
    assert {f.name for f in fields(PruneOptions)} <= names
    assert set(overrides_of(config())) == set(PruneOverrides.__annotations__) <= names


REFUSED = {"snip", "grasp", "synflow", "sbc", "latent-magnitude", "gate"}
"""Measured once, at the start, or with nothing that is brought back."""


@pytest.mark.parametrize("granularity", CRITERIA)
@pytest.mark.parametrize("part", ["saliency", "regrow"])
def test_a_criterion_of_one_s_own_choice_arrives(granularity, part):
    table = CRITERIA[granularity][part == "regrow"]
    for name in table:
        if granularity == "weight" and name in (
            "snip",
            "grasp",
            "synflow",
            "sbc",
            "latent-magnitude",
            "gate",
        ):
            continue  # measured once, at the start; or nothing is brought back
        made = config(granularity=granularity, **{part: name})
        assert getattr(prune_options(made), part) == name


def test_options_that_a_run_sets_arrive():
    made = config(
        method="criticality",
        allocation="erk",
        schedule="linear",
        every=7,
        initial_value="previous",
        include=["conv*"],
        exclude=["conv1"],
        limits={"conv2": [0.1, 0.9]},
        criticality={"space": "mean"},
        channels={"floor": 2},
    )
    options = prune_options(made)
    assert options.limits == {"conv2": (0.1, 0.9)}
    assert (options.include, options.exclude) == (("conv*",), ("conv1",))
    assert (options.allocation, options.schedule, options.every) == ("erk", "linear", 7)
    assert options.initial_value == "previous"
    assert options.criticality.space == "mean"
    assert options.channels == ChannelOptions(floor=2)


def test_the_method_of_a_run_has_its_own_options_put_in():
    method = resolve(config(method="magnitude", regrow="criticality"))
    assert (method.regrow, method.regrow_fraction) == ("criticality", 0.2)
    assert resolve(config(regrow="random")).regrow_fraction == 0.2
    assert resolve(config(regrow="none")).regrow_fraction == 0.0
    assert resolve(config(regrow_fraction=0.5)).regrow_fraction == 0.5
    channel = resolve(config(method="slimming", granularity="channel", regrow="random"))
    assert channel.regrow_fraction == 0.05


def test_dense_is_for_both_granularities_and_prunes_nothing():
    for granularity in ("weight", "channel"):
        made = config(method="dense", granularity=granularity, sparsity=None)
        assert not resolve(made).prunes
        with pytest.raises(ConfigError, match="prunes nothing"):
            prune_options(made)


def test_sparsity_is_asked_for_in_the_words_of_the_command_line():
    with pytest.raises(ConfigError, match=r"sparsity is missing.*as --sparsity 0.9"):
        prune_options(config(sparsity=None))
