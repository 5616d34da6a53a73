"""Shares of the batches: together they are what one process sees, whatever the number of ranks."""

import pytest
import torch

from spikeprune.data import Data
from spikeprune.errors import DataError, RunError
from spikeprune.lab.run.stages import batch_shares as shares


class Listed(list):
    """Batches as the data layer hands them out."""

    @property
    def samples(self):
        return sum(len(y) for _, y in self)


def images(*sizes):
    total = torch.arange(sum(sizes)).split(sizes)
    return Listed((y.view(-1, 1, 1, 1).expand(-1, 2, 3, 3).float(), y) for y in total)


def of_every_rank(monkeypatch, world, share, batches):
    """What every rank gets, with `require_same_tensors` taken away."""
    monkeypatch.setattr(shares, "world_size", lambda: world)
    monkeypatch.setattr(shares, "require_same_tensors", lambda *_: None)
    found = []
    for rank in range(world):
        monkeypatch.setattr(shares, "rank", lambda rank=rank: rank)
        found.append(list(share(batches)))
    return found


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("events", [False, True])
def test_slices_are_equal_and_make_up_the_batch(monkeypatch, world, events):
    batches = images(12, 24)
    if events:  # [T, B, C, H, W]
        batches = Listed((torch.stack((x, x + 100)), y) for x, y in batches)
    ranks = of_every_rank(monkeypatch, world, shares.slices, batches)
    for number, (x, y) in enumerate(batches):
        parts = [rank[number] for rank in ranks]
        assert {len(part[1]) for part in parts} == {len(y) // world}
        assert torch.equal(torch.cat([part[0] for part in parts], 1 if events else 0), x)
        assert torch.equal(torch.cat([part[1] for part in parts]), y)


def test_a_batch_without_equal_slices_is_refused(monkeypatch):
    with pytest.raises(DataError, match=r"multiple of 2 samples.*got one of 5.*drop_last"):
        of_every_rank(monkeypatch, 2, shares.slices, images(4, 5))


@pytest.mark.parametrize(("world", "count"), [(1, 3), (2, 2), (2, 5), (3, 7)])
def test_turns_hand_out_every_batch_once(monkeypatch, world, count):
    batches = images(*[4] * count)
    ranks = of_every_rank(monkeypatch, world, shares.turns, batches)
    seen = sorted(int(y[0]) for rank in ranks for _, y in rank)
    assert seen == [4 * k for k in range(count)]
    assert max(map(len, ranks)) - min(map(len, ranks)) <= 1


def test_each_rank_gets_all_where_turns_would_leave_one_without(monkeypatch):
    ranks = of_every_rank(monkeypatch, 4, shares.turns, images(4, 4))
    assert [len(rank) for rank in ranks] == [2] * 4


def test_turns_can_be_taken_again(monkeypatch):
    monkeypatch.setattr(shares, "world_size", lambda: 2)
    monkeypatch.setattr(shares, "rank", lambda: 1)
    mine = shares.turns(images(4, 4, 4))
    assert [[int(y[0]) for _, y in mine] for _ in range(2)] == [[4], [4]]


def test_ranks_that_shuffle_differently_are_refused_at_the_first_batch(monkeypatch):
    seen = []
    monkeypatch.setattr(shares, "world_size", lambda: 2)
    monkeypatch.setattr(shares, "rank", lambda: 0)

    def require(what, tensors, advice):
        seen.append((what, tensors))
        raise RunError(advice)

    monkeypatch.setattr(shares, "require_same_tensors", require)
    batches = images(4, 4)
    with pytest.raises(RunError, match="no DistributedSampler"):
        next(iter(shares.slices(batches)))
    ((what, tensors),) = seen
    assert what == "the first training batch"
    assert torch.equal(tensors["y"], batches[0][1])


def data(train, **parts):
    empty = dict.fromkeys(("score", "validation", "test"), Listed())
    return Data(info=None, train=train, **(empty | parts))


def test_data_that_cannot_be_shared_are_refused_before_training(monkeypatch):
    shares.check_shares(data(images(4, 3)))  # a single process takes any
    monkeypatch.setattr(shares, "world_size", lambda: 2)
    same = []
    monkeypatch.setattr(shares, "require_same", lambda what, value, advice: same.append(value))
    with pytest.raises(DataError, match=r"multiple of 2 samples.*got one of 3"):
        shares.check_shares(data(images(4, 3), score=images(4, 3), test=images(5)))
    assert same == [(2, 7), (2, 7), (0, 0), (1, 5)]
    shares.check_shares(data(images(4, 2)))
    shares.check_shares(data(images(4, 4)))
