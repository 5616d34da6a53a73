"""The adapter and the spiking neurons of a model, and the registry of adapters."""

import sys
import types

import pytest
import torch
from spikingjelly.activation_based import base, layer, neuron, surrogate
from torch import nn

from spikeprune.adapters import registry
from spikeprune.adapters.declared import DECLARED
from spikeprune.adapters.registry import adapter_for, adapters, register, spiking_neurons
from spikeprune.errors import ModelError


def net(*modules):
    return nn.Sequential(layer.Linear(3, 4), *modules)


def test_adapter_and_neurons_are_found_by_the_imported_framework():
    lif, plain_if = neuron.LIFNode(), neuron.IFNode()
    model = net(lif, layer.Linear(4, 4), plain_if)
    assert adapter_for(model).framework == "spikingjelly"
    assert spiking_neurons(model) == {"1": lif, "3": plain_if}


def test_a_neuron_used_under_two_names_is_listed_once():
    lif = neuron.LIFNode()
    assert list(spiking_neurons(net(lif, lif))) == ["1"]


def test_the_model_may_be_the_neuron():
    assert list(spiking_neurons(neuron.LIFNode())) == [""]


def test_a_framework_that_is_not_imported_is_not_loaded(monkeypatch):
    monkeypatch.setattr(registry, "_BUILT_IN", {"absent": "spikeprune.adapters.absent"})
    monkeypatch.setattr(registry, "_registered", {})
    assert adapters() == (DECLARED,)


def test_no_neuron_is_an_error_that_lists_the_frameworks():
    with pytest.raises(ModelError, match=r"one framework \(spikingjelly\) in Sequential, got none"):
        adapter_for(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))


class Counting(base.MemoryModule):
    """Keeps state and has no surrogate that would show when it fires."""

    def __init__(self):
        super().__init__()
        self.register_memory("count", 0)


TABLE = neuron.FewSpikeTable([1.0], [1.0], [1.0])
OPAQUE = {
    "DSRIFNode": lambda: neuron.DSRIFNode(),
    "DSRLIFNode": lambda: neuron.DSRLIFNode(),
    "NonSpikingIFNode": lambda: neuron.NonSpikingIFNode(),
    "NonSpikingLIFNode": lambda: neuron.NonSpikingLIFNode(),
    "ILIFNode": lambda: neuron.ILIFNode(),
    "TernaryIFNode": lambda: neuron.TernaryIFNode(),
    "TernaryLIFNode": lambda: neuron.TernaryLIFNode(),
    "LIAFNode": lambda: neuron.LIAFNode(torch.relu, True),
    "FewSpikeNode": lambda: neuron.FewSpikeNode(TABLE),
    "STBIFNode": lambda: neuron.STBIFNode(1.0, 4),
    "OTTTLIFNode": lambda: neuron.OTTTLIFNode(),
    "SLTTLIFNode": lambda: neuron.SLTTLIFNode(),
    "ILCIFNode": lambda: neuron.ILCIFNode(2, 2),
    "NoisyCUBALIFNode": lambda: neuron.NoisyCUBALIFNode(4),
    "Counting": Counting,
}


@pytest.mark.parametrize("kind", OPAQUE)
def test_neurons_that_cannot_be_observed_are_refused_by_name(kind):
    model = net(neuron.LIFNode(), OPAQUE[kind]())
    with pytest.raises(ModelError, match=rf"got '2' \({kind}\)"):
        spiking_neurons(model)


def test_stateful_modules_that_are_no_neurons_are_left_alone():
    model = net(neuron.LIFNode(), layer.Dropout(), layer.SynapseFilter(), layer.Delay(1))
    assert list(spiking_neurons(model)) == ["1"]


def test_a_model_that_is_a_memory_module_itself_is_no_neuron():
    class Model(Counting):
        def __init__(self):
            super().__init__()
            self.body = net(neuron.IFNode(surrogate_function=surrogate.ATan()))

    assert list(spiking_neurons(Model())) == ["body.1"]


class ForeignNeuron(nn.Module):
    pass


class ForeignAdapter:
    framework = "foreign"

    def matches(self, module):
        return isinstance(module, ForeignNeuron)

    def opaque(self, module):
        return False


@pytest.fixture
def foreign(monkeypatch):
    monkeypatch.setitem(sys.modules, "foreign", types.ModuleType("foreign"))
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    adapter = ForeignAdapter()
    register(adapter)
    return adapter


def test_a_registered_adapter_serves_its_framework(foreign):
    assert adapter_for(net(ForeignNeuron())) is foreign
    assert foreign in adapters()


def test_neurons_of_two_frameworks_are_refused(foreign):
    with pytest.raises(ModelError, match="got neurons of foreign and spikingjelly"):
        adapter_for(net(ForeignNeuron(), neuron.LIFNode()))
