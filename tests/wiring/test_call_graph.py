"""The graph of a recorded forward."""

import torch
from tests.foreign.plain import StateLIF, States
from torch import nn

from spikeprune.adapters.spike_functions.watch import Place
from spikeprune.wiring.call_graph import CallGraph
from spikeprune.wiring.trace_log import LAYERS, CallLog


def graph_of(model, x):
    parts = {n: m for n, m in model.named_modules() if isinstance(m, (*LAYERS, nn.BatchNorm2d))}
    layers = {n: m for n, m in parts.items() if isinstance(m, LAYERS)}
    norms = {n: m for n, m in parts.items() if n not in layers}
    log = CallLog(model, layers=layers, norms=norms, neurons={}, run=lambda x: model(x.clone()))
    log.record(x.requires_grad_())
    return CallGraph(parts, frozenset(), log)


def test_a_function_that_computes_the_reset_alone_is_no_neuron():
    graph = graph_of(States(), torch.rand(2, 12))
    assert [key.module for key in graph.spiking] == ["lif1", "lif2"]
    first, second = graph.spiking
    assert isinstance(first, Place)
    assert graph.feeds("fc1") == [first]
    assert graph.sources("fc2") == [first]
    assert graph.sources("out") == [second]
    assert graph.only_spikes("fc2")
    assert not graph.only_spikes("fc1")


def test_norms_between_a_layer_and_its_neuron():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), StateLIF(), nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2)
    )
    graph = graph_of(model, torch.rand(2, 1, 8, 8))
    assert graph.norms_between("0", graph.feeds("0")) == ("1",)
    assert graph.norms_between("3", graph.feeds("3")) == ()


def test_operations_that_keep_channels_and_one_that_does_not():
    keeping = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), StateLIF(), nn.Conv2d(4, 2, 1))
    graph = graph_of(keeping, torch.rand(2, 1, 8, 8))
    assert graph.keeps_channels(graph.spiking[0], 3)
    mixing = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ChannelShuffle(2), StateLIF(), nn.Conv2d(4, 2, 1))
    graph = graph_of(mixing, torch.rand(2, 1, 8, 8))
    assert not graph.keeps_channels(graph.spiking[0], 3)


def test_a_layer_uses_its_weight_unless_it_is_computed():
    model = nn.Sequential(nn.Linear(3, 4), StateLIF(), nn.Linear(4, 2))
    graph = graph_of(model, torch.rand(2, 3))
    assert graph.uses_weight("0", model[0].weight)
    nn.utils.parametrizations.weight_norm(model[2])
    graph = graph_of(model, torch.rand(2, 3))
    assert not graph.uses_weight("2", model[2].weight)
