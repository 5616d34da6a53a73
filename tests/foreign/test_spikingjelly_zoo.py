"""SpikingJelly's own model zoo the whole way, as it is installed: one net of each family.

`FOREIGN=all` in the environment takes every net, and so does `python -m tests.foreign.table`.
"""

import os
import sys

import pytest
import torch
from tests.foreign.walk import walk
from tests.foreign.zoo import ZOO

UNUSED = {"SpikeDHS"}  # has layers for a search, which its forward does not call
COMPUTED = {"OTTT VGG"}  # standardises weights in its forward, so its channels cannot be cut
MIXED = {"MASNN"}  # has attention over channels between every layer and its neuron


SIBLINGS = {
    *("FashionMNISTNet", "NMNISTNet", "CIFAR10Net", "CIFAR10DVSNet"),
    *("SpikingVGG, BatchNorm", "SpikingResNet, bottleneck", "SEWResNet, bottleneck"),
    *("MaxResNet", "QKFormer, channels", "MaxFormer, CIFAR", "SNASNet, backward"),
}
"""Nets of the blocks of another one."""
CHOSEN = [name for name in ZOO if os.environ.get("FOREIGN") == "all" or name not in SIBLINGS]


@pytest.mark.parametrize("name", CHOSEN, ids=[name.replace(" ", "-") for name in CHOSEN])
def test_the_whole_way(name):
    torch.manual_seed(0)
    row = walk(ZOO[name], size=4, with_channels=name not in UNUSED)  # some minutes for a search net
    assert (row.exact, row.cut_equal, row.evaluated, row.loaded) == (True, True, True, True)
    assert row.alive
    assert (row.prunable == row.layers) == (name not in UNUSED | COMPUTED)
    assert (row.mapped > 0) == (name not in MIXED)
    if name in COMPUTED:
        assert row.channels.startswith("no channel can be cut")
    elif name not in UNUSED:
        assert row.channels == "cut"


def test_siblings_are_nets_of_the_zoo():
    assert set(ZOO) > SIBLINGS


def test_nothing_stands_in_for_torchvision_afterwards():
    assert "load_state_dict_from_url" not in dir(sys.modules.get("torchvision.models.utils"))
