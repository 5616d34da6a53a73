"""Walks over the graph of a computation that is small enough to list its nodes."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from spikeprune.execution.autograd_graph import ancestors, repeated


def test_every_ancestor_comes_once():
    x = torch.ones(2, requires_grad=True)
    twice = x * 2
    y = twice.sin() + twice.cos()
    nodes = list(ancestors(y.grad_fn))
    names = sorted(type(node).__name__ for node in nodes)
    assert names == [
        "AccumulateGrad",
        "AddBackward0",
        "CosBackward0",
        "MulBackward0",
        "SinBackward0",
    ]
    assert nodes[0] is y.grad_fn


def test_the_walk_ends_at_nodes_that_stop_it():
    x = torch.ones(2, requires_grad=True)
    inner = x.exp()
    y = inner.sin()
    assert list(ancestors(y.grad_fn, lambda node: node is inner.grad_fn)) == [
        y.grad_fn,
        inner.grad_fn,
    ]


def test_a_tensor_without_a_graph_has_no_ancestors():
    assert list(ancestors(torch.ones(2).grad_fn)) == []


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpointed_forward_knows_its_repetition(reentrant):
    seen = []

    def forward(x):
        seen.append(repeated())
        return x.sin()

    x = torch.ones(2, requires_grad=True)
    checkpoint(forward, x, use_reentrant=reentrant).sum().backward()
    assert seen == [False, True]
    assert not repeated()
