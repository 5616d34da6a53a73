"""The types of data sets: they hold, and do not change."""

import dataclasses

import pytest
import torch

from spikeprune.data.checked_loader import CheckedLoader
from spikeprune.data.loader import Loader
from spikeprune.data.types import DataInfo, Part


@pytest.fixture
def info():
    return DataInfo(
        name="x",
        label="X",
        classes=("a", "b"),
        shape=(1, 2, 2),
        mean=(0.0,),
        std=(1.0,),
        kind="static",
        source="here",
    )


def test_a_description_can_be_replaced_but_not_changed(info):
    assert (info.scaling, dataclasses.replace(info, label="Y").label) == ("", "Y")
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.label = "Y"


def test_both_kinds_of_loader_are_batches_that_can_be_iterated_again(info):
    images, labels = torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 0])
    ours = Loader(Part(images, labels), torch.arange(3), info, batch_size=2)
    theirs = CheckedLoader(
        list(ours), "mine", shape=(1, 2, 2), classes=2, time_steps=1, kind="static"
    )
    for batches in (ours, theirs):
        batches.set_epoch(1)
        assert (len(batches), batches.samples) == (2, 3)
        for _ in range(2):
            assert [y.tolist() for _, y in batches] == [[0, 1], [0]]
