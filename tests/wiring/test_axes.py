"""The axes of a neuron's argument, from where it changes with the first sample."""

import pytest
import torch

from spikeprune.adapters.spike_functions.site import Axes
from spikeprune.wiring.axes import Reads, axes_of, reads_of

T, B = 4, 3


def changed(form):
    """Return where `[T, B, C, H, W]` changes with sample 0, in another order of axes."""
    base = torch.zeros(T, B, 2, 5, 5, dtype=torch.bool)
    base[:, 0, 1, 2:, :3] = True
    return {
        "T B": [base],
        "B T": [base.transpose(0, 1)],
        "(T B)": [base.flatten(0, 1)],
        "(B T)": [base.transpose(0, 1).flatten(0, 1)],
        "B": list(base),
    }[form]


@pytest.mark.parametrize("form", ["T B", "B T", "(T B)", "(B T)", "B"])
def test_every_order_is_told(form):
    found = axes_of(changed(form), sample=3, batch=B)
    assert (found.form, found.steps, found.sample) == (form, 1 if form == "B" else T, 3)


def test_calls_in_which_nothing_changes_do_not_matter():
    calls = changed("B")
    calls[0] = torch.zeros_like(calls[0])
    assert axes_of(calls, sample=3, batch=B).form == "B"


def test_samples_that_are_mixed_have_no_axes():
    assert axes_of([torch.ones(B, 2, 5, 5, dtype=torch.bool)], sample=3, batch=B) is None


def test_calls_of_different_sizes_have_no_axes():
    one, other = changed("B")[:2]
    assert axes_of([one, other[:, :, :3]], sample=3, batch=B).form == "B"
    assert axes_of([one, changed("T B")[0]], sample=3, batch=B) is None


def test_a_dead_net_is_read_by_its_sizes():
    dead = torch.zeros(B, 2, 5, 5, dtype=torch.bool)
    assert axes_of([dead], sample=3, batch=B).form == "B"
    assert axes_of([dead.expand(T, *dead.shape)], sample=3, batch=B).form == "T B"
    assert axes_of([torch.zeros(7, 2, 5, 5, dtype=torch.bool)], sample=3, batch=B) is None


def test_how_a_layer_reads_over_time():
    first = torch.tensor([True, False, False])
    calls = [first.view(3, 1).expand(3, 4)] * 2
    assert reads_of(calls, sample=1, batch=3, steps=2) == Reads(Axes("B", 1, 1), once=False)
    assert reads_of(calls[:1], sample=1, batch=3, steps=2) == Reads(Axes("B", 1, 1), once=True)
    assert reads_of(calls[:1], sample=1, batch=3, steps=1) == Reads(Axes("B", 1, 1), once=False)
    assert reads_of(calls, sample=1, batch=3, steps=4) is None  # half of the steps
    assert reads_of([], sample=1, batch=3, steps=2) is None
