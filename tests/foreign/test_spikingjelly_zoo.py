"""SpikingJelly's own model zoo the whole way, as it is installed."""

import sys

import pytest
import torch
from tests.foreign.walk import walk
from tests.foreign.zoo import ZOO

CUT = {
    *("SpikingVGG, BatchNorm", "SpikingResNet", "SpikingResNet, bottleneck"),
    *("SEWResNet", "SEWResNet, bottleneck", "SEWResNet, IAND"),
}
"""Nets whose channels can be cut; those of all others are refused at construction."""

UNUSED = {"SpikeDHS"}  # has layers for a search, which its forward does not call
COMPUTED = {"OTTT VGG"}  # standardises weights in its forward
MIXED = {"MASNN"}  # has attention over channels between every layer and its neuron


@pytest.mark.parametrize("name", ZOO, ids=[name.replace(" ", "-") for name in ZOO])
def test_the_whole_way(name):
    torch.manual_seed(0)
    row = walk(ZOO[name], size=4)
    assert (row.exact, row.cut_equal, row.evaluated, row.loaded) == (True, True, True, True)
    assert row.alive
    assert (row.prunable == row.layers) == (name not in UNUSED | COMPUTED)
    assert (row.mapped > 0) == (name not in MIXED)
    assert (row.channels == "cut") == (name in CUT)
    assert row.channels == "cut" or "\n" not in row.channels


def test_nothing_stands_in_for_torchvision_afterwards():
    assert "load_state_dict_from_url" not in dir(sys.modules.get("torchvision.models.utils"))
