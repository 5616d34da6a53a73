"""Two budgets by name in one option."""

import pytest

from spikeprune.errors import ConfigError
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.flags import merge
from spikeprune.lab.settings.two_budgets import as_one_budget


@pytest.mark.parametrize(
    "given", [{"synops": 0.05, "weights": 0.1}, "{synops: 0.05, weights: 0.1}"]
)
def test_the_first_is_what_sparsity_is_a_share_of_and_the_second_holds_as_well(given):
    made = as_one_budget({"budget": given, "seed": 1})
    assert made == {"seed": 1, "budget": "synops", "sparsity": 0.95, "within": {"weights": 0.1}}
    config = RunConfig.from_dict({"data": "digits", "model": "vgg5", "budget": given})
    assert (config.budget, config.sparsity, config.within) == ("synops", 0.95, {"weights": 0.1})
    assert RunConfig.from_dict(config.to_dict()) == config


def test_of_channels_the_first_is_their_budget():
    made = as_one_budget(
        {"granularity": "channel", "channels": {"floor": 2}, "budget": {"macs": 0.25}}
    )
    assert made["channels"] == {"floor": 2, "budget": "macs"}
    assert (made["sparsity"], made["within"]) == (0.75, {})


def test_it_goes_before_the_sparsity_of_a_recipe():
    recipe = {"sparsity": 0.9, "budget": "weights"}
    made = merge(recipe, {"budget": "{synops: 0.05, weights: 0.1}"})
    assert made == {"sparsity": 0.95, "budget": "synops", "within": {"weights": 0.1}}
    assert merge(recipe, {"seed": 1}) == recipe | {"seed": 1}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"budget": {"synops": 0.1}, "sparsity": 0.9},
            "sparsity says so too; leave one of the two",
        ),
        ({"budget": {"synops": 0.1}, "within": {"weights": 0.1}}, "within says so too"),
        ({"budget": {}}, "as live shares in .0, 1. by unit, such as {synops: 0.05, weights: 0.1}"),
        ({"budget": {"synops": 95}}, "as live shares"),
        ({"budget": "{synops: [1]}"}, "as live shares"),
    ],
)
def test_what_contradicts_itself_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        as_one_budget(values)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (
            {"synops": 0.05, "macs": 0.1},
            "unit of a budget .macs.; expected one of: energy, w",
        ),
        ({"synops": 0.05, "weights": 0.1, "energy": 0.1}, "at most two budgets"),
    ],
)
def test_units_are_those_of_what_is_pruned(budget, message):
    from spikeprune.lab.settings.method_choice import prune_options

    with pytest.raises(ConfigError, match=message):
        prune_options(RunConfig.from_dict({"data": "digits", "model": "vgg5", "budget": budget}))
