"""Budgets: how they are written down, shares of counts, and the dense net that they refer to."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeprune.errors import ConfigError
from spikeprune.pruning.budget import BudgetUse, check_reference, floor_share


@pytest.mark.parametrize(
    "use",
    [
        BudgetUse("synops", cost=3.5, allowed=4.0, total=40.0),
        BudgetUse("channels", cost=9, allowed=9.6, total=16, forced={"stem": 2}),
    ],
)
def test_the_use_of_a_budget_goes_through_json(use):
    values = json.loads(json.dumps(use.to_dict()))
    assert set(values) == {"budget", "cost", "allowed", "total", "forced"}
    assert values["budget"] == use.unit
    assert BudgetUse.from_dict(values) == use


def test_an_event_without_a_budget_has_no_use():
    assert BudgetUse.from_dict({}) is None


@given(st.integers(0, 99), st.integers(0, 10**7))
def test_a_share_is_that_of_the_decimal_fraction(percent, count):
    assert floor_share(percent / 100, count) == Fraction(percent, 100) * count // 1


def test_a_share_that_floating_point_would_round_down():
    assert int(0.29 * 100) == 28
    assert floor_share(0.29, 100) == 29


def test_a_reference_that_names_every_layer_passes():
    check_reference(None, ["a"], budget="weights")
    check_reference({"a": 1.0, "b": 0.0, "other": 2.0}, ["a", "b"], budget="synops")


@pytest.mark.parametrize(
    ("dense", "budget", "message"),
    [
        ({"a": 1.0}, "synops", r"every layer, some above 0, got nothing for b, c; take them from"),
        ({"a": 0.0, "b": 0.0, "c": 0.0}, "synops", r"got \{'a': 0.0, .*spikeprune.evaluate"),
        ({"a": 1.0, "b": 1.0, "c": 1.0}, "macs", "goes with a budget of synops, got one of macs"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(dense, budget, message):
    with pytest.raises(ConfigError, match=message):
        check_reference(dense, ["a", "b", "c"], budget=budget)
