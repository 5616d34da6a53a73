"""Nets in the style of research code on SpikingJelly the whole way."""

import pytest
import torch
from tests.foreign.spikingjelly_nets import NETS
from tests.foreign.walk import walk

TOKENS = {
    *("Spikformer block", "QK attention", "spike-driven attention"),
    "multi-head attention of torch",
}


@pytest.mark.parametrize("name", NETS, ids=[name.replace(" ", "-") for name in NETS])
def test_the_whole_way(name):
    torch.manual_seed(0)
    row = walk(NETS[name], size=4)
    expected = (True, True, NETS[name].evaluates, True)
    assert (row.exact, row.cut_equal, row.evaluated, row.loaded) == expected
    assert min(row.adapted, row.mapped) > 0 == row.found
    assert (row.channels == "cut") == (name == "BatchNorm through time")
