"""Latent weights against the same training written out with autograd."""

import copy

import pytest
import torch
from torch import nn

from spikeprune.errors import RunError
from spikeprune.pruning.weights.latent_weights import (
    NO_LATENT_WEIGHTS,
    LatentWeights,
    _Gates,
    _SoftThreshold,
)
from spikeprune.science.latent_weights import opening, soft_threshold, temperature

STEPS = 6
TARGET = torch.randn(20, 3, generator=torch.Generator().manual_seed(7))
X = torch.randn(20, 5, generator=torch.Generator().manual_seed(8))


def net():
    torch.manual_seed(0)
    return nn.Linear(5, 3)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01)


def loss_of(weight, bias):
    return ((X @ weight.T + bias - TARGET) ** 2).mean()


def gates(weight, penalty=0.5):
    price = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])
    return _Gates({"a": weight}, {"a": price}, penalty=penalty, lr=0.05, steps=STEPS), price


def trained(model, latent, optimizer, steps=STEPS):
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model.weight, model.bias).backward()
        optimizer.step()
    return latent


def test_gates_are_trained_as_if_the_net_had_them():
    model = net()
    optimizer, (rule, price) = sgd(model.parameters()), gates(model.weight)
    latent = LatentWeights(optimizer, {"a": model.weight}, rule)
    assert torch.equal(model.weight, latent.trained["a"] / 2)
    trained(model, latent, optimizer)

    v, bias = (p.detach().clone().requires_grad_() for p in net().parameters())
    m = torch.zeros_like(v).requires_grad_()
    weights, adam = sgd([v, bias]), torch.optim.Adam([m], lr=0.05)
    for step in range(STEPS):
        opened = opening(m, temperature(step / STEPS))
        penalty = 0.5 * (price * opened).sum() / (3 * price.sum())
        weights.zero_grad()
        adam.zero_grad()
        (loss_of(v * opened, bias) + penalty).backward()
        weights.step()
        adam.step()
    torch.testing.assert_close(latent.trained["a"], v.detach())
    torch.testing.assert_close(latent.scores["a"], m.detach())
    torch.testing.assert_close(model.weight.detach(), (v * opening(m, 1000.0)).detach())
    torch.testing.assert_close(model.bias.detach(), bias.detach())

    live = m.detach() > m.detach().median()
    latent.decided({"a": live}, last=True)
    torch.testing.assert_close(model.weight.detach(), (v * live).detach())
    assert not latent.active


def test_a_dead_weight_of_a_soft_threshold_is_trained_and_may_come_back():
    model = net()
    optimizer = sgd(model.parameters())
    latent = LatentWeights(optimizer, {"a": model.weight}, _SoftThreshold({"a": model.weight}))
    assert torch.equal(model.weight, net().weight)
    v, bias = (p.detach().clone().requires_grad_() for p in net().parameters())
    reference, live, d = sgd([v, bias]), torch.ones(3, 5, dtype=torch.bool), 0.0
    for step in range(STEPS):
        trained(model, latent, optimizer, steps=1)
        w = (soft_threshold(v.detach(), d) * live).requires_grad_()
        reference.zero_grad()
        loss_of(w, bias).backward()
        v.grad = w.grad  # passed on as it is
        reference.step()
        torch.testing.assert_close(latent.trained["a"], v.detach())
        if step in (1, 3):
            order = v.detach().abs()
            d = order.flatten().sort().values[5 + step]
            live = order > d
            latent.decided({"a": live}, last=False)
            assert torch.equal(model.weight != 0, live)
        torch.testing.assert_close(
            model.weight.detach(), soft_threshold(v.detach(), d) * live, atol=1e-6, rtol=1e-5
        )
    assert latent.active


@pytest.mark.parametrize("kind", ["gates", "threshold"])
def test_a_saved_state_goes_on_alike(kind):
    def made():
        model = net()
        rule = gates(model.weight)[0] if kind == "gates" else _SoftThreshold({"a": model.weight})
        optimizer = sgd(model.parameters())
        return model, LatentWeights(optimizer, {"a": model.weight}, rule), optimizer

    model, latent, optimizer = whole = made()
    trained(*whole, steps=2)
    live = {"a": latent.scores["a"] > latent.scores["a"].median()}
    latent.decided(live, last=False)
    saved = [model.state_dict(), optimizer.state_dict(), latent.state_dict()]
    saved = copy.deepcopy(saved)
    again = made()
    again[0].load_state_dict(saved[0])
    again[2].load_state_dict(saved[1])
    again[1].load_state_dict(saved[2], live)
    for run in (whole, again):
        trained(*run, steps=3)
    assert torch.equal(model.weight, again[0].weight)
    assert torch.equal(latent.trained["a"], again[1].trained["a"])
    latent.decided(live, last=True)
    again[1].load_state_dict(latent.state_dict(), live)
    assert not again[1].active


def test_what_latent_weights_cannot_follow_is_refused():
    model = net()
    optimizer = sgd(model.parameters())
    latent = LatentWeights(optimizer, {"a": model.weight}, gates(model.weight)[0])
    with pytest.raises(RunError, match="a closure cannot see"):
        optimizer.step(lambda: loss_of(model.weight, model.bias))
    with torch.no_grad():
        model.weight.mul_(1)  # the same value
    trained(model, latent, optimizer, steps=1)
    with torch.no_grad():
        model.weight.mul_(2)
    with pytest.raises(RunError, match="something wrote to the weight of 'a'"):
        trained(model, latent, optimizer, steps=1)
    latent.close()
    trained(model, latent, optimizer, steps=1)


def test_a_gate_without_gradient_and_a_net_without_operands_have_the_penalty_alone():
    model = net()
    rule, _ = gates(model.weight)
    before = rule.state_dict()["prices"]["a"].clone()
    rule.charge({"a": torch.zeros(1, 5)})
    assert torch.equal(rule.state_dict()["prices"]["a"], before)
    optimizer = sgd(model.parameters())
    latent = LatentWeights(optimizer, {"a": model.weight}, rule)
    optimizer.step()
    assert (latent.scores["a"] < 0).all()
    assert torch.equal(latent.trained["a"], net().weight)


def test_a_pruner_without_them_has_none():
    NO_LATENT_WEIGHTS.decided({}, last=True)
    assert not NO_LATENT_WEIGHTS.active
    assert NO_LATENT_WEIGHTS.state_dict() == {}
