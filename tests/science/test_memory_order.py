import pytest
import torch

from spikeprune.science import memory_order as layout
from spikeprune.science.memory_order import live_count, memory_order, pieces


@pytest.mark.parametrize(
    "shape", [(0,), (5,), (70_000,), (3, 4, 5, 6), (128, 600), (64, 9, 33, 33)]
)
@pytest.mark.parametrize("view", ["plain", "channels last", "offset", "strided", "expanded"])
def test_the_count_is_exact_whatever_the_layout(shape, view):
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.4
    if view == "channels last" and mask.ndim == 4:
        mask = mask.contiguous(memory_format=torch.channels_last)
    if view == "offset":
        mask = mask.flatten()[3:]
    if view == "strided":
        mask = mask[..., ::2]
    if view == "expanded":
        mask = mask[:1].expand(shape)
    assert live_count(mask) == int(mask.sum())


def test_full_words_do_not_overflow():
    assert live_count(torch.ones(10**6, dtype=torch.bool)) == 10**6


@pytest.mark.parametrize("alike", [True, False])
def test_pieces_are_views_of_all_that_there_is(alike, monkeypatch):
    monkeypatch.setattr(layout, "_PIECE", 7)
    last = torch.zeros(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    other = torch.arange(120.0).view(2, 3, 4, 5)
    if alike:
        other = other.contiguous(memory_format=torch.channels_last)
    found = list(pieces(last, other))
    assert len(found) == (18 if alike else 1)
    for into, values in found:
        into.copy_(values)
    assert torch.equal(last, other)


def test_memory_order_of_a_channels_last_tensor():
    last = torch.zeros(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    assert memory_order(last) == [0, 2, 3, 1]
