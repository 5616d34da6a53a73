"""Whose state a pruner goes on from."""

import pytest
import torch

from spikeprune.errors import RunError
from spikeprune.pruning.saved_state import moved, refuse_foreign, restored

LIVE = {"a": torch.ones(2, 3, dtype=torch.bool)}
STEPS = (2, 4, 6, 8, 10)


def test_a_state_of_the_same_layers_and_events_is_taken():
    refuse_foreign({"live": dict(LIVE), "event_steps": list(STEPS)}, LIVE, STEPS)


@pytest.mark.parametrize(
    ("live", "steps"),
    [
        ({"a": torch.ones(3, 2, dtype=torch.bool)}, STEPS),
        ({"b": LIVE["a"]}, STEPS),
        (LIVE | {"b": LIVE["a"]}, STEPS),
        (LIVE, (2, 4, 6, 8)),
    ],
)
def test_any_other_is_refused_with_what_came(live, steps):
    with pytest.raises(RunError, match=r"1 layers with events at steps 2, 4, ..., 10, got one of"):
        refuse_foreign({"live": live, "event_steps": steps}, LIVE, STEPS)


def test_masks_come_back_in_the_memory_order_of_the_weights():
    live = {"a": torch.ones(2, 3, 4, 4, dtype=torch.bool).to(memory_format=torch.channels_last)}
    saved = {"a": torch.rand(2, 3, 4, 4) > 0.5}
    found = restored(saved, live)["a"]
    assert torch.equal(found, saved["a"])
    assert found.stride() == live["a"].stride()


def test_tensors_move_to_where_others_are():
    found = moved({"a": torch.ones(2)}, {"a": torch.empty(0, device="meta"), "b": torch.ones(1)})
    assert found["a"].device.type == "meta"
    assert moved({}, LIVE) == {}
