"""Neurons of a net as observers see them."""

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from tests.foreign.plain import States, T, TupleLIF
from torch import nn

from spikeprune import trace
from spikeprune.adapters.neuron import ModuleNeuron, SiteNeuron, neurons_of, observing
from spikeprune.errors import ModelError


class Mixed(nn.Module):
    """A neuron of a framework behind one of its own."""

    def __init__(self):
        super().__init__()
        self.a, self.own, self.b, self.known = (
            nn.Linear(12, 8),
            TupleLIF(),
            layer.Linear(8, 6),
            neuron.LIFNode(),
        )
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        mem, total = x.new_zeros(len(x), 8), 0
        self.known.reset()
        for _ in range(T):
            s, mem = self.own(self.a(x), mem)
            total = total + self.out(self.known(self.b(s)))
        return total


def test_neurons_of_a_framework_and_of_none_in_one_net():
    torch.manual_seed(0)
    model, x = Mixed(), 4 * torch.rand(5, 12)
    wiring = trace(model, x, time_steps=T)
    found = neurons_of(model, wiring.sites, wiring.neurons)
    assert isinstance(found["known"], ModuleNeuron)
    assert isinstance(found["own"], SiteNeuron)
    seen = {name: [] for name in found}
    resets = dict.fromkeys(found, lambda: None)
    with observing(found, {name: one.append for name, one in seen.items()}, resets):
        model(x)
    assert torch.cat(seen["own"]).shape == (T, 5, 8)
    assert torch.cat(seen["known"]).shape == (T, 5, 6)


def test_without_names_they_are_the_modules_of_the_framework():
    model = nn.Sequential(layer.Linear(3, 4), neuron.LIFNode())
    assert list(neurons_of(model, None, None)) == ["1"]
    with pytest.raises(ModelError, match="got none"):
        neurons_of(States(), None, None)


def test_what_is_not_known_of_a_site_is_refused():
    model = States()
    wiring = trace(model, torch.rand(2, 12), time_steps=T)
    one = neurons_of(model, wiring.sites, wiring.neurons)["lif1"]
    assert one.training is model.training
    assert one.derivative() is None
    with pytest.raises(ModelError, match="value='derivative'"):
        one.primitive()
    with pytest.raises(ModelError, match="'lif1' is not known"):
        one.threshold()
