"""Neurons that report their potential themselves, or are declared."""

from contextlib import contextmanager

import pytest
import torch
from tests.foreign.plain import T, Triangle
from torch import nn

from spikeprune import CriticalityOptions, Pruner
from spikeprune.adapters import declared
from spikeprune.adapters.declared import spikes
from spikeprune.errors import ConfigError, ModelError


class Plain(nn.Module):
    """A step without a function: nobody can see it."""

    def forward(self, x):
        v, out = torch.zeros_like(x[0]), []
        self.potential = []
        for step in x:
            v = 0.5 * v + step
            self.potential.append(v)
            s = (v >= 0.4).to(v) + 0 * v
            v = v * (1 - s.detach())
            out.append(s)
        self.potential = torch.stack(self.potential)
        return torch.stack(out)


class Reporting(Plain):
    """Has the method of the protocol, and a surrogate."""

    sink = None

    @staticmethod
    def surrogate_function(u):
        return Triangle.apply(u)

    def forward(self, x):
        out = super().forward(x)
        if self.sink is not None:
            self.sink((self.potential - 0.4).detach())
        return out

    @contextmanager
    def observe_potential(self, sink):
        self.sink = sink
        try:
            yield
        finally:
            self.sink = None


@pytest.fixture(autouse=True)
def undeclared(monkeypatch):
    monkeypatch.setattr(declared, "_DECLARED", {})


def pruned(kind, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 24), kind(), nn.Linear(24, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = 2 * torch.rand(6, 12)
    made = {"time_steps": T, "total_steps": 6, "sparsity": 0.8, "every": 2, "layout": "sequence"}
    pruner = Pruner(model, optimizer, x[:1], **made, **options)
    for _ in range(6):
        optimizer.zero_grad()
        model(x.expand(T, *x.shape)).mean(0).square().sum().backward()
        optimizer.step()
        pruner.step()
    return pruner


def test_a_plain_module_with_the_method_is_observed():
    pruner = pruned(Reporting)
    assert pruner.wiring.neurons == {"1": 24}
    assert pruner.last_scores["1"].shape == (24,)
    assert pruner.wiring.layers["2"].binary


def test_what_cannot_be_found_is_pruned_by_saliency_until_it_is_declared():
    assert pruned(Plain).options.regrow == "none"
    spikes(Plain, potential="potential", threshold=0.4, time_dim=0)
    atan = CriticalityOptions(curve="atan")
    pruner = pruned(Plain, criticality=atan)
    assert pruner.options.regrow == "criticality"
    assert pruner.last_scores["1"].any()
    with pytest.raises(ModelError, match=r"surrogate_function.*curve='atan'"):
        pruned(Plain)


def test_a_declaration_without_potential_says_what_is_a_spike():
    spikes(Plain)
    pruner = pruned(Plain)
    assert pruner.wiring.neurons == {}
    assert pruner.wiring.layers["2"].binary
    assert pruner.options.regrow == "none"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(((3,), {}), "a class of modules"), (((Plain,), {"time_dim": 2}), "0, 1 or None, got 2")],
)
def test_declarations_that_mean_nothing(arguments, message):
    positional, named = arguments
    with pytest.raises(ConfigError, match=message):
        spikes(*positional, **named)
