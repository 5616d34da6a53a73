"""What an event chose: live weights, the use of the budget, a record that counts each once."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.pruning.selection import (
    BudgetUse,
    EventRecord,
    Selection,
    record_event,
    with_survival,
)

# One digit a weight: 0 dead, 1 dead and returned, 2 dropped, 3 dropped and returned, 4 kept.
FATES = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=9), min_size=1, max_size=3)


@settings(max_examples=30, deadline=None)
@given(FATES)
def test_every_fate_is_counted_once(fates):
    layers = {f"layer{i}": torch.tensor(row) for i, row in enumerate(fates)}
    before = {name: fate >= 2 for name, fate in layers.items()}
    kept = {name: fate == 4 for name, fate in layers.items()}
    regrown = {name: fate % 2 == 1 for name, fate in layers.items()}
    use = BudgetUse("synops", cost=3.0, allowed=4.0, total=8.0)
    event = record_event((2, 5), 20, 0.5, before=before, selection=Selection(kept, regrown, use))
    flat = [digit for row in fates for digit in row]
    assert (event.event, event.events, event.step, event.density) == (2, 5, 20, 0.5)
    assert event.kept == flat.count(4)
    assert event.dead_and_returned == flat.count(1)
    assert event.dropped_and_returned == flat.count(3)
    assert event.regrown == event.dead_and_returned + event.dropped_and_returned
    assert event.live == event.kept + event.regrown
    assert event.budget == use
    assert event.survival is None
    assert sum(row["live"] for row in event.layers.values()) == event.live
    assert sum(row["regrown"] for row in event.layers.values()) == event.regrown
    assert [row["total"] for row in event.layers.values()] == [len(row) for row in fates]


def one_event(budget=None):
    kept, regrown = torch.tensor([True, False, True]), torch.tensor([False, True, False])
    return record_event(
        (1, 2),
        7,
        1.0,
        before={"a": torch.tensor([True, True, True])},
        selection=Selection({"a": kept}, {"a": regrown}, budget),
    )


@pytest.mark.parametrize(
    "budget", [None, BudgetUse("macs", cost=1.0, allowed=2.0, total=4.0, forced={"a": 1})]
)
def test_a_record_goes_through_json(budget):
    first = one_event(budget)
    later = with_survival(
        first, {"a": torch.tensor([False, True, False])}, {"a": torch.ones(3) > 0}
    )
    for event in (first, later):
        values = json.loads(json.dumps(event.to_dict()))
        assert values["details"] == ({} if budget is None else budget.to_dict())
        assert EventRecord.from_dict(values) == event
    assert (first.survival, later.survival) == (None, 1.0)


def test_the_keys_of_a_record_are_those_of_run_folders():
    assert set(one_event().to_dict()) == {
        "event",
        "events",
        "step",
        "density",
        "live",
        "kept",
        "regrown",
        "dropped_and_returned",
        "dead_and_returned",
        "layers",
        "survival",
        "details",
    }


def test_a_record_of_a_version_without_details_is_read():
    values = one_event().to_dict()
    del values["details"]
    assert EventRecord.from_dict(values) == one_event()


@settings(max_examples=30, deadline=None)
@given(FATES, st.randoms(use_true_random=False))
def test_what_became_of_regrowth_adds_up_over_layers(fates, dice):
    layers = {f"layer{i}": torch.tensor(row) for i, row in enumerate(fates)}
    regrown = {name: fate % 2 == 1 for name, fate in layers.items()}
    selection = Selection({name: fate == 4 for name, fate in layers.items()}, regrown)
    before = {name: fate >= 2 for name, fate in layers.items()}
    event = record_event((1, 2), 5, 0.5, before=before, selection=selection)
    assert all(row["survived"] is None for row in event.layers.values())
    kept_next = {
        n: torch.tensor([dice.random() < 0.5 for _ in fate], dtype=torch.bool)
        for n, fate in layers.items()
    }
    later = with_survival(event, regrown, kept_next)
    for name, row in later.layers.items():
        both = [bool(a and b) for a, b in zip(regrown[name], kept_next[name], strict=True)]
        assert row == event.layers[name] | {"survived": sum(both)}
    total = sum(row["survived"] for row in later.layers.values())
    assert later.survival == (total / event.regrown if event.regrown else None)


def test_live_is_kept_or_regrown():
    kept = {"a": torch.tensor([True, False, False]), "b": torch.tensor([False])}
    regrown = {"a": torch.tensor([False, False, True]), "b": torch.tensor([False])}
    selection = Selection(kept, regrown)
    assert {n: m.tolist() for n, m in selection.live.items()} == {
        "a": [True, False, True],
        "b": [False],
    }
    assert selection.budget is None
    assert selection.kept["a"].tolist() == [True, False, False]  # stays what it was


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


def test_a_budget_says_what_is_used_and_which_sparsity_its_cost_would_meet():
    second = BudgetUse("weights", cost=30.0, allowed=40.0, total=100.0)
    first = BudgetUse("synops", cost=1.00005, allowed=2.0, total=3.0, within=(second,))
    assert (first.used, second.used) == (pytest.approx(0.500025), 0.75)
    assert (first.highest_sparsity, second.highest_sparsity) == (0.6666, 0.7)
    assert BudgetUse("macs", cost=5.0, allowed=1.0, total=4.0).highest_sparsity == 0.0
    assert Selection({}, {}, first).uses == (first, second)
    assert Selection({}, {}).uses == ()
