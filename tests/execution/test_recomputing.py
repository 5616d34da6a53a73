import pytest
import torch
from torch.utils.checkpoint import checkpoint

from spikeprune.execution.recomputing import recomputing


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_the_second_forward_of_a_checkpoint_is_told_from_the_first(use_reentrant):
    seen = []

    def block(x):
        seen.append(recomputing())
        return x.sin()

    x = torch.rand(3, requires_grad=True)
    checkpoint(block, x, use_reentrant=use_reentrant).sum().backward()
    assert seen == [False, True]
    assert not recomputing()
