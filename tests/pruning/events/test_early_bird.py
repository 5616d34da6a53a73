"""An event waits until its choice has settled, and then nothing is left to come."""

import pytest
import torch

from spikeprune.pruning.events.early_bird import COMPARED, EarlyBird
from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.selection import Selection

WHOLE = {"a": torch.ones(100, dtype=torch.bool)}


def options(below=0.1, **changes):
    changes = {"schedule": "early-bird", "settled_below": below} | changes
    return PruneOptions.of(sparsity=0.5, **changes)


def choice(shift):
    """Fifty of a hundred, which move along: two choices differ by 2 |shift - other| entries."""
    kept = torch.zeros(100, dtype=torch.bool)
    kept[shift : shift + 50] = True
    return Selection({"a": kept}, {"a": torch.zeros_like(kept)})


def run(bird, shifts):
    """Return the steps at which an event happens."""
    found = []
    for step, shift in enumerate(shifts, start=1):
        chosen = choice(shift)
        decided = bird.decide(step, WHOLE, chosen)
        if decided is chosen:
            found.append(step)
        else:
            assert torch.equal(decided.kept["a"], WHOLE["a"])
            assert not decided.regrown["a"].any()
    return found


def test_it_happens_once_five_choices_differ_by_less():
    assert COMPARED == 5
    assert run(EarlyBird(options(), 99), [0, 20, 40, 44, 42, 41, 40]) == [7]
    assert run(EarlyBird(options(), 99), [0, 0, 0, 0, 0]) == [5]
    still = EarlyBird(options(below=0.02), 99)
    assert run(still, [1, 0, 0, 0, 0]) == []  # 2 % is not below 2 %
    assert not still.settled


def test_it_happens_at_the_last_event_at_the_latest():
    bird = EarlyBird(options(), 4)
    assert run(bird, [0, 40, 0, 40]) == [4]
    assert bird.settled


def test_no_other_schedule_waits():
    bird = EarlyBird(options(schedule="cubic"), 99)
    assert run(bird, [0, 40, 0]) == [1, 2, 3]
    assert not bird.settled


@pytest.mark.parametrize("upto", range(1, 5))
def test_a_saved_state_goes_on_alike(upto):
    shifts = [0, 1, 2, 1, 0]
    first, again = EarlyBird(options(), 99), EarlyBird(options(), 99)
    run(first, shifts[:upto])
    again.load_state_dict(first.state_dict(), WHOLE)
    for bird in (first, again):
        assert run(bird, shifts[upto:]) == [5 - upto]
        assert bird.settled
