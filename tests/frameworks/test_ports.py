"""One small net in every framework: scores, masks, gradients and operations of the plain net."""

import importlib
from functools import cache

import pytest
import torch
from tests.frameworks.environment import frameworks, require
from tests.frameworks.ports import plain
from tests.frameworks.ports.plain import T
from torch.nn.functional import cross_entropy

from spikeprune import Pruner, evaluate

LAYERS = ("conv", "fc1", "fc2")


@pytest.fixture(params=[pytest.param(name, marks=marks) for name, marks in frameworks()])
def port(request):
    """The class of the port to the framework of this process."""
    require(request.param)
    name = request.param.partition("-")[0]
    return importlib.import_module(f"tests.frameworks.ports.{name}").Port


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = 3 * torch.rand(8, 1, 8, 8, generator=generator)
    return x, torch.randint(0, 3, (8,), generator=generator)


def weights(net):
    return {name: net.get_submodule(name).weight for name in LAYERS}


@cache
def pruned(build):
    """Train a net through its events; return its pruner, and scores and masks at each event."""
    torch.manual_seed(0)
    net = build()
    with torch.no_grad():
        for weight in (net.conv.weight, net.fc1.weight):
            weight.mul_(4)  # so that all neurons fire
    x, y = batch()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    pruner = Pruner(net, optimizer, x, time_steps=T, total_steps=8, sparsity=0.6, every=2)
    seen = []
    for _ in range(8):
        optimizer.zero_grad()
        cross_entropy(net(x), y).backward()
        gradients = {name: weight.grad.clone() for name, weight in weights(net).items()}
        optimizer.step()
        events = len(pruner.events)
        pruner.step()
        if len(pruner.events) > events:
            masks = {name: mask.clone() for name, mask in pruner.mask.items()}
            seen.append((list(pruner.last_scores.values()), masks, gradients))
    return pruner, seen


def close(found, expected):
    scale = float(expected.abs().max())
    assert scale > 0
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * scale)


def test_scores_masks_and_gradients_are_those_of_the_plain_net(port):
    (pruner, seen), (other, expected) = pruned(port), pruned(plain.Port)
    assert len(seen) == len(expected) >= 3
    for (scores, masks, gradients), (scores_too, masks_too, gradients_too) in zip(
        seen, expected, strict=True
    ):
        for score, score_too in zip(scores, scores_too, strict=True):
            close(score, score_too)
        for name in LAYERS:
            close(gradients[name], gradients_too[name])
            assert torch.equal(masks[f"{name}.weight"], masks_too[f"{name}.weight"])
    regrown = [event.regrown for event in pruner.events]
    assert regrown == [event.regrown for event in other.events]
    assert sum(regrown) > 0


def test_it_is_as_sparse_as_asked_by_counting(port):
    pruner, _ = pruned(port)
    live = sum(int(weight.count_nonzero()) for weight in weights(pruner.model).values())
    sizes = sum(weight.numel() for weight in weights(pruner.model).values())
    assert live == round(0.4 * sizes)


def test_operations_and_firing_are_those_of_the_plain_net(port):
    found, expected = (
        evaluate(
            pruner.model,
            [batch(1)],
            time_steps=T,
            wiring=pruner.wiring,
            mask=pruner.mask,
            latency=False,
        )
        for pruner, _ in (pruned(port), pruned(plain.Port))
    )
    assert [row.synops for row in found.layers] == [row.synops for row in expected.layers]
    assert [row.operand for row in found.layers] == [row.operand for row in expected.layers]
    assert all(row.synops for row in expected.layers)
    assert found.firing_rate == expected.firing_rate
    assert found.test_accuracy == expected.test_accuracy
