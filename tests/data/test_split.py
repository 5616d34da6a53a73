"""The split that no run may choose."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spikeprune.data.split import split, stratified_order


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
    fraction=st.floats(0.0, 1.0),
)
@example(counts=[1, 1, 1, 1, 1, 4], seed=0, fraction=0.25)
@settings(max_examples=60, deadline=None)
def test_every_prefix_of_the_order_is_stratified(counts, seed, fraction):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    order = stratified_order(labels, seed)
    assert torch.equal(order.sort().values, torch.arange(len(labels)))
    prefix = order[: round(fraction * len(labels))]
    share = len(prefix) / len(labels)
    for label, count in enumerate(counts):
        bound = (1 + len(counts) * count / len(labels)) / 2
        assert abs(int((labels[prefix] == label).sum()) - share * count) <= bound + 1e-9


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25, 0.5])
def test_parts_are_disjoint_sorted_and_complete(fraction):
    labels = torch.arange(200) % 10
    train, held_out = split(labels, fraction)
    assert len(held_out) == round(200 * fraction)
    assert torch.equal(torch.cat([train, held_out]).sort().values, torch.arange(200))
    assert torch.equal(train, train.sort().values)
    if len(held_out):
        assert int(torch.bincount(labels[held_out]).max()) == round(20 * fraction)


def test_a_smaller_limit_gives_subsets_in_proportion():
    labels = torch.arange(1000) % 10
    whole, large, small = (split(labels, 0.1, limit) for limit in (None, 450, 90))
    assert (len(large.train), len(large.validation)) == (450, 50)
    assert (len(small.train), len(small.validation)) == (90, 10)
    for inner, outer in ((small, large), (large, whole)):
        assert set(inner.train.tolist()) <= set(outer.train.tolist())
        assert set(inner.validation.tolist()) <= set(outer.validation.tolist())
    assert torch.equal(torch.bincount(labels[small.train]), torch.full((10,), 9))


def test_a_limit_above_the_size_changes_nothing():
    labels = torch.arange(50) % 5
    assert all(map(torch.equal, split(labels, 0.2, 10_000), split(labels, 0.2)))


def test_the_split_is_pinned():
    """Results of different versions compare only while this stays as it is."""
    assert split(torch.arange(40) % 4, 0.1).validation.tolist() == [9, 12, 14, 15]
