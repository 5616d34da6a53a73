"""Walks over the graph of a computation that is small enough to list its nodes."""

import pytest
import torch

from spikeprune.execution.autograd_graph import ancestors, sources


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


class Copy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        Copy.context = ctx
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


@pytest.mark.parametrize("needs_gradient", [True, False])
def test_the_sources_of_a_call_are_those_of_its_node_and_none_outside_a_graph(needs_gradient):
    x = torch.ones(2, requires_grad=needs_gradient)
    output = Copy.apply(x * 2)
    expected = output.grad_fn.next_functions if needs_gradient else ()
    assert sources(Copy.context) == expected
