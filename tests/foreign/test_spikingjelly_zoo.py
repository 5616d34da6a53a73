"""SpikingJelly's own model zoo the whole way, as it is installed."""

import sys

import pytest
import torch
from tests.foreign.walk import walk
from tests.foreign.zoo import ZOO

UNUSED = {"SpikeDHS"}  # has layers for a search, which its forward does not call
COMPUTED = {"OTTT VGG"}  # standardises weights in its forward, so its channels cannot be cut
MIXED = {"MASNN"}  # has attention over channels between every layer and its neuron


@pytest.mark.parametrize("name", ZOO, ids=[name.replace(" ", "-") for name in ZOO])
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


def test_nothing_stands_in_for_torchvision_afterwards():
    assert "load_state_dict_from_url" not in dir(sys.modules.get("torchvision.models.utils"))
