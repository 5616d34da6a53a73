"""Nets without neurons, and the layout that would show them."""

import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from spikeprune.pruning.methods import options_for
from spikeprune.pruning.neurons_needed import lacks_neurons, other_layout
from spikeprune.wiring.trace import trace

X = torch.zeros(1, 4)


def spiking():
    model = nn.Sequential(layer.Linear(4, 3), neuron.IFNode(), layer.Linear(3, 2))
    functional.set_step_mode(model, "m")
    return model


def test_only_weights_that_are_ranked_by_neurons_need_them():
    plain = trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), X)
    for method, needs in {"criticality": True, "crisis": True, "magnitude": False}.items():
        options = options_for(method, sparsity=0.5)
        assert lacks_neurons(options, plain) == needs
        assert not lacks_neurons(options, trace(spiking(), X, time_steps=2))
    channels = options_for("criticality", sparsity=0.5, granularity="channel")
    assert not lacks_neurons(channels, plain)


def test_the_layout_with_neurons_is_named():
    said = other_layout(spiking(), X, time_steps=2, layout="step")
    assert "no neuron runs 2 steps" in said
    assert "1 do with layout='sequence'" in said
    assert other_layout(spiking(), X, time_steps=2, layout=None) == ""
    assert other_layout(nn.Linear(4, 2), X, time_steps=2, layout="step") == ""
