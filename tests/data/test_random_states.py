"""What is drawn to compare data moves no generator of the user's."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from spikeprune.data.random_states import seed_all, unmoved


def drawn():
    return torch.rand(2).tolist(), random.random(), np.random.rand(2).tolist()  # noqa: NPY002


def test_the_global_generators_go_on_as_if_nothing_had_been_drawn():
    seed_all()
    drawn()
    expected = drawn()
    seed_all()
    drawn()
    with unmoved():
        drawn()
        seed_all()
    assert drawn() == expected


def test_an_error_moves_nothing_either():
    seed_all()
    expected = drawn()
    seed_all()
    with pytest.raises(IndexError), unmoved():
        drawn()[9]
    assert drawn() == expected


def test_generators_that_a_loader_holds_go_on_too():
    class Noisy(TensorDataset):
        def __init__(self):
            super().__init__(torch.zeros(4))
            self.mine = np.random.default_rng(0)
            self.steps = [{"old": np.random.RandomState(0)}, random.Random(0)]
            self.itself = self

    def draws():
        held = loader.dataset
        old, python = held.steps[0]["old"], held.steps[1]
        order = [int(x) for (batch,) in loader for x in batch]
        return (
            held.mine.random(),
            old.rand(),
            python.random(),
            order,
            loader.generator.get_state()[:9],
        )

    loader = DataLoader(Noisy(), shuffle=True, generator=torch.Generator().manual_seed(0))
    with unmoved(loader):
        first = draws()
    again = draws()
    assert first[:4] == again[:4]
    assert torch.equal(first[4], again[4])
    assert draws()[0] != again[0]
