"""Options of pruning that can have no effect: each rule against what the pruner does with them."""

from dataclasses import fields, is_dataclass

import pytest
import torch
from torch import nn

from spikeprune import CriticalityOptions, Pruner
from spikeprune.errors import ConfigError
from spikeprune.pruning.methods import options_for
from spikeprune.pruning.option_types import ChannelOptions
from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.without_effect import ALWAYS, RULES, changed, notes_on


def leaves(options, prefix=""):
    for f in fields(options):
        value = getattr(options, f.name)
        if is_dataclass(value):
            yield from leaves(value, f"{f.name}.")
        else:
            yield prefix + f.name


def test_every_field_has_a_rule_or_always_an_effect():
    names = set(leaves(PruneOptions(sparsity=0.5)))
    assert names == RULES.keys() | ALWAYS
    assert not RULES.keys() & ALWAYS


def test_the_fields_that_differ_are_named_with_dots():
    assert dict(changed(PruneOptions(sparsity=0.5))) == {"sparsity": 0.5}
    options = PruneOptions(
        sparsity=0.5, every=3, criticality=CriticalityOptions(space="mean"), include=("a",)
    )
    named = {"sparsity": 0.5, "every": 3, "criticality.space": "mean", "include": ("a",)}
    assert dict(changed(options)) == named


def found(method, **given):
    """Return the names of the options that are said to have no effect."""
    notes = notes_on(options_for(method, sparsity=0.5, **given), given)
    assert all(" has no effect: " in note for note in notes)
    return {note.split(" ")[0] for note in notes}


SPACE = {"criticality": CriticalityOptions(space="mean")}
OPTIONS = {
    "regrowth is none": (
        "magnitude",
        {
            "initial_value": "previous",
            "fraction_of": "before",
            "fraction_schedule": "cosine",
            "regrow_within": "layer",
            "regrow_layers": "all",
            "regrow_fraction": 0.0,
        },
        {
            "initial_value",
            "fraction_of",
            "fraction_schedule",
            "regrow_within",
            "regrow_layers",
            "regrow_fraction",
        },
    ),
    "all of that with regrowth": (
        "random-regrow",
        {
            "initial_value": "previous",
            "fraction_of": "before",
            "fraction_schedule": "cosine",
            "regrow_within": "layer",
            "regrow_layers": "all",
            "regrow_fraction": 0.1,
        },
        set(),
    ),
    "a share of 0": (
        "magnitude",
        {"regrow": "random", "regrow_fraction": 0.0, "initial_value": "previous"},
        {"regrow", "initial_value"},
    ),
    "regrowth turned off": ("criticality", {"regrow": "none"}, set()),
    "one event": ("magnitude", {"schedule": "one-shot", "every": 5}, {"every"}),
    "one event at the start": ("snip", {"every": 5}, {"every"}),
    "squares of nothing": ("taylor", {"gradient_batches": 3}, {"gradient_batches"}),
    "squares": ("fisher", {"gradient_batches": 3}, set()),
    "many events": ("magnitude", {"every": 5}, set()),
    "one event of channels": (
        "criticality",
        {"granularity": "channel", "every": 5, "initial_value": "previous"},
        {"every", "initial_value"},
    ),
    "ERK gives each layer its own": (
        "criticality-erk",
        {"regrow_within": "layer"},
        {"regrow_within"},
    ),
    "sparse from the start": ("set", {"initial_density": 0.8}, {"initial_density"}),
    "a start of its own": ("ndsnn", {"initial_density": 0.8}, set()),
    "the start has its own criterion": (
        "magnitude",
        {"saliency": "signed-magnitude", "schedule": "at-start", "start_saliency": "random"},
        {"saliency"},
    ),
    "nothing that settles": ("magnitude", {"settled_below": 0.2}, {"settled_below"}),
    "channels that settle": (
        "early-bird",
        {"granularity": "channel", "settled_below": 0.2, "every": 5},
        set(),
    ),
    "gates of a method without": ("magnitude", {"gate_lr": 0.1}, {"gate_lr"}),
    "gates that cost nothing": ("upr-rate", {"gate_penalty": 0.0, "gate_lr": 0.1}, set()),
    "a cost that does not count": (
        "upr",
        {"gate_penalty": 0.0, "gate_cost": "operands"},
        {"gate_cost"},
    ),
    "no criticality": ("magnitude", SPACE, {"criticality.space"}),
    "rates, but no criticality": ("firing-rate", SPACE, {"criticality.space"}),
    "criticality": ("criticality", SPACE, set()),
    "criticality of the start": (
        "set",
        {"start_saliency": "criticality-magnitude", **SPACE},
        set(),
    ),
    "criticality of channels": ("criticality", {"granularity": "channel", **SPACE}, set()),
    "channels by scale": ("slimming", {"granularity": "channel", **SPACE}, {"criticality.space"}),
    "ranks of a criterion that takes them": (
        "criticality-magnitude",
        {"criticality": CriticalityOptions(normalise="layer", weight="post*pre")},
        {"criticality.weight"},
    ),
    "synops of one that does not": (
        "criticality-magnitude",
        {"criticality": CriticalityOptions(normalise="synops")},
        {"criticality.normalise"},
    ),
    "batches that nobody observes": (
        "magnitude",
        {"criticality": CriticalityOptions(batches=2, score_on="train-set")},
        {"criticality.batches", "criticality.score_on"},
    ),
    "batches of rates": ("firing-rate", {"criticality": CriticalityOptions(batches=2)}, set()),
    "batches of a budget": (
        "magnitude",
        {"budget": "synops", "criticality": CriticalityOptions(batches=2)},
        set(),
    ),
    "batches of the whole set": (
        "criticality",
        {"criticality": CriticalityOptions(batches=2, score_on="train-set")},
        {"criticality.batches"},
    ),
    "batches at the start": (
        "snip",
        {"criticality": CriticalityOptions(batches=2, score_on="train-set")},
        {"criticality.score_on"},
    ),
    "a start without data": (
        "synflow",
        {"criticality": CriticalityOptions(batches=2)},
        {"criticality.batches"},
    ),
    "None is not given": ("magnitude", {"regrow_fraction": None, "every": None}, set()),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_are_named_where_they_have_no_effect_and_only_there(case):
    method, given, expected = OPTIONS[case]
    assert found(method, **given) == expected


@pytest.mark.parametrize("name", ["floor", "round_to"])
def test_options_of_channels_are_refused_where_weights_are_pruned(name):
    with pytest.raises(ConfigError, match=f"channels.{name} have no effect .*='channel'"):
        found("magnitude", channels=ChannelOptions(**{name: 2}))
    assert found("magnitude", channels=ChannelOptions()) == set()
    assert found("slimming", granularity="channel", channels=ChannelOptions(**{name: 2})) == set()


def pruner_of(**options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    made = {"sparsity": 0.7, "total_steps": 6, "every": 2, "time_steps": 1} | options
    return model, optimizer, Pruner(model, optimizer, torch.zeros(1, 6), **made)


def test_the_pruner_says_it():
    _, _, pruner = pruner_of(method="magnitude", initial_value="previous")
    said = "initial_value previous has no effect: nothing is brought back (regrow is none)"
    assert pruner.notes[-1] == said
    pruner.close()
    with pytest.raises(ConfigError, match=r"channels\.floor"):
        pruner_of(method="magnitude", channels=ChannelOptions(floor=2))


def trained(**options):
    """Return all parameters after training with a method, given single options."""
    model, optimizer, pruner = pruner_of(**options)
    data = torch.Generator().manual_seed(1)
    with pruner:
        pruner.begin([(torch.rand(4, 6, generator=data), torch.zeros(4).long())])
        for _ in range(6):
            optimizer.zero_grad()
            model(torch.rand(4, 6, generator=data)).square().sum().backward()
            optimizer.step()
            pruner.step()
        return torch.cat([p.detach().flatten() for p in model.parameters()]), pruner.notes


GROWS = {"method": "random-regrow", "regrow_layers": "all"}


@pytest.mark.parametrize(
    ("base", "option", "alike"),
    [
        ({"method": "magnitude"}, {"initial_value": "previous"}, True),
        (GROWS, {"initial_value": "previous"}, False),
        ({"method": "magnitude"}, {"regrow_within": "layer"}, True),
        ({"method": "magnitude", "schedule": "one-shot"}, {"every": 3}, True),
        ({"method": "magnitude"}, {"every": 3}, False),
        (GROWS | {"allocation": "erk"}, {"regrow_within": "layer"}, True),
        (GROWS, {"regrow_within": "layer"}, False),
        ({"method": "magnitude"}, {"regrow": "random", "regrow_fraction": 0.0}, True),
        ({"method": "set"}, {"initial_density": 0.8}, True),
        ({"method": "magnitude"}, {"initial_density": 0.8, "start_saliency": "random"}, False),
        ({"method": "magnitude"}, {"criticality": CriticalityOptions(batches=2)}, True),
    ],
)
def test_an_option_is_named_exactly_where_the_net_is_the_same(base, option, alike):
    plain, _ = trained(**base)
    other, notes = trained(**base, **option)
    assert torch.equal(plain, other) == alike
    assert any(" has no effect: " in note for note in notes) == alike
