"""What a user's own loader hands out: what is compared, and what is left out."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from spikeprune.data.checked_loader import CheckedLoader
from spikeprune.data.loader_digests import of_loader


class Images(Dataset):
    """Ten images; `change` is added to one of them, `noise` to all by some generator."""

    def __init__(self, change=0.0, noise=None, label=0):
        self.x = torch.arange(10.0).view(10, 1, 1, 1).clone()
        self.x[3] += change
        self.label, self.noise = label, noise
        self.own = np.random.default_rng()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        draw = {"torch": lambda: torch.rand(()), "python": random.random, "own": self.own.random}
        return self.x[index] + (draw[self.noise]() if self.noise else 0), self.label


def checked(batches):
    return CheckedLoader(batches, "mine", shape=(1, 1, 1), classes=3, time_steps=1, kind="static")


def found(batches, *, draws=True):
    return of_loader(checked(batches), "test", draws=draws)


def differing(one, other, **kind):
    (before, _), (after, _) = found(one, **kind), found(other, **kind)
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("noise", "shuffle", "workers"),
    [
        *((noise, shuffle, 0) for noise in (None, "torch", "python") for shuffle in (False, True)),
        ("torch", True, 1),
    ],
)
def test_equal_data_are_equal_with_shuffling_and_random_augmentation(noise, shuffle, workers):
    loaders = [
        DataLoader(Images(noise=noise), batch_size=4, shuffle=shuffle, num_workers=workers)
        for _ in range(2)
    ]
    assert differing(*loaders) == set()
    parts, left_out = found(loaders[0])
    assert set(parts) == {"number of test batches", "test batches", "test inputs", "test labels"}
    assert left_out == []
    assert (parts["test inputs"].compared, parts["test inputs"].of) == (10, 10)
    assert (parts["test batches"].compared, parts["number of test batches"]) == (3, "3")


@pytest.mark.parametrize("noise", [None, "torch"])
def test_one_changed_sample_is_seen_through_augmentation(noise):
    one, other = (DataLoader(Images(c, noise), batch_size=4) for c in (0.0, 1.0))
    assert differing(one, other) == {"test batches", "test inputs"}
    assert differing(one, other, draws=False) == {"test inputs"}
    other = DataLoader(Images(noise=noise, label=1), batch_size=4)
    assert differing(one, other, draws=False) == {"test labels"}


def test_augmentation_by_a_generator_of_the_data_set_s_own_is_left_out():
    parts, left_out = found(DataLoader(Images(noise="own"), batch_size=4))
    assert set(parts) == {"number of test batches", "test labels"}
    assert [text.partition(",")[0] for text in left_out] == ["the test batches", "the test inputs"]


def test_training_batches_are_drawn_only_from_lists():
    class Counting:
        passes = 0

        def __len__(self):
            return 1

        def __iter__(self):
            self.passes += 1
            yield torch.zeros(2, 1, 1, 1), torch.zeros(2).long()

    given = Counting()
    parts, left_out = found(given, draws=False)
    assert given.passes == 0
    assert parts == {"number of test batches": "1"}
    assert left_out == ["the test samples, which cannot be read twice alike from the same seeds"]
    batch = torch.zeros(2, 1, 1, 1), torch.zeros(2).long()
    assert "test batches" in found([batch], draws=False)[0]


def test_a_stream_has_batches_alone():
    class Stream(IterableDataset):
        def __iter__(self):
            yield from ((torch.ones(1, 1, 1) * k, k % 3) for k in range(5))

    parts, left_out = found(DataLoader(Stream(), batch_size=2))
    assert set(parts) == {"number of test batches", "test batches"}
    assert left_out == []


def test_a_data_set_that_cannot_be_indexed_after_all_is_left_out():
    class Broken(TensorDataset):
        def __getitem__(self, index):
            raise OSError("no such disk")

    loader = DataLoader(Broken(torch.zeros(2), torch.zeros(2)))
    parts, left_out = of_loader(checked(loader), "training", draws=False)
    assert set(parts) == {"number of training batches"}
    assert len(left_out) == 2
