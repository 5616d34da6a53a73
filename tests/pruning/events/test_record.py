"""The record of an event counts what happened to every weight exactly once."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.pruning.events.record import EventRecord, Outcome, record_event, survived

# One digit a weight: 0 dead, 1 dead and returned, 2 dropped, 3 dropped and returned, 4 kept.
FATES = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=9), min_size=1, max_size=3)


@settings(max_examples=30, deadline=None)
@given(FATES)
def test_every_fate_is_counted_once(fates):
    layers = {f"layer{i}": torch.tensor(row) for i, row in enumerate(fates)}
    before = {name: fate >= 2 for name, fate in layers.items()}
    kept = {name: fate == 4 for name, fate in layers.items()}
    regrown = {name: fate % 2 == 1 for name, fate in layers.items()}
    event = record_event(
        *((2, 5), 20, 0.5), before=before, outcome=Outcome(kept, regrown, {"cost": 3.0})
    )
    flat = [digit for row in fates for digit in row]
    assert (event.event, event.events, event.step, event.density) == (2, 5, 20, 0.5)
    assert event.kept == flat.count(4)
    assert event.dead_and_returned == flat.count(1)
    assert event.dropped_and_returned == flat.count(3)
    assert event.regrown == event.dead_and_returned + event.dropped_and_returned
    assert event.live == event.kept + event.regrown
    assert event.details == {"cost": 3.0}
    assert event.survival is None
    assert sum(row["live"] for row in event.layers.values()) == event.live
    assert sum(row["regrown"] for row in event.layers.values()) == event.regrown
    assert [row["total"] for row in event.layers.values()] == [len(row) for row in fates]


def test_an_event_goes_through_plain_values():
    event = record_event(
        *((1, 1), 7, 1.0),
        before={"a": torch.ones(2, dtype=torch.bool)},
        outcome=Outcome({"a": torch.ones(2, dtype=torch.bool)}, {"a": torch.zeros(2).bool()}),
    )
    assert EventRecord(**vars(event)) == event


@settings(max_examples=30, deadline=None)
@given(FATES, st.randoms(use_true_random=False))
def test_what_became_of_regrowth_adds_up_over_layers(fates, dice):
    layers = {f"layer{i}": torch.tensor(row) for i, row in enumerate(fates)}
    regrown = {name: fate % 2 == 1 for name, fate in layers.items()}
    outcome = Outcome({name: fate == 4 for name, fate in layers.items()}, regrown)
    event = record_event(
        (1, 2), 5, 0.5, before={n: f >= 2 for n, f in layers.items()}, outcome=outcome
    )
    assert all(row["survived"] is None for row in event.layers.values())
    kept_next = {
        n: torch.tensor([dice.random() < 0.5 for _ in fate], dtype=torch.bool)
        for n, fate in layers.items()
    }
    later = survived(event, regrown, kept_next)
    for name, row in later.layers.items():
        both = [bool(a and b) for a, b in zip(regrown[name], kept_next[name], strict=True)]
        assert row == event.layers[name] | {"survived": sum(both)}
    total = sum(row["survived"] for row in later.layers.values())
    assert later.survival == (total / event.regrown if event.regrown else None)
