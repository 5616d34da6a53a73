"""Notes about one slice: nodes, shapes and binary inputs at each module."""

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from spikeprune.adapters.registry import adapter_for
from spikeprune.errors import ModelError
from spikeprune.wiring.trace_log import SliceLog, operation

IMAGE = torch.zeros(1, 3, 8, 8)


def log_of(model, example=IMAGE):
    log = SliceLog(dict(model.named_children()), frozenset({"1"}))
    with adapter_for(model).tracing(model):
        log.run(model, example)
    return log


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(layer.Conv2d(3, 4, 3), neuron.IFNode(), layer.Conv2d(4, 2, 3))


def test_each_module_has_its_nodes_shapes_and_whether_its_input_is_binary(model):
    log = log_of(model)
    assert [operation(log.after[name]) for name in "02"] == ["Convolution", "Convolution"]
    assert log.before["1"] is log.after["0"]
    assert log.before["2"] is log.after["1"]
    assert log.shapes["0"] == ((3, 8, 8), (4, 6, 6))
    assert log.shapes["1"] == ((4, 6, 6), (4, 6, 6))
    assert log.binary == {"0": True, "1": False, "2": True}  # the image is all zeros
    log.check()


def test_an_example_of_any_batch_is_one_slice(model):
    assert log_of(model, torch.randn(5, 3, 8, 8)).shapes == log_of(model).shapes


def test_hooks_and_frozen_parameters_are_restored_after_a_failure(model):
    model[0].requires_grad_(False)
    with pytest.raises(ModelError, match=r"of shape \(1, 7, 8, 8\) .*, got RuntimeError"):
        log_of(model, torch.zeros(1, 7, 8, 8))
    assert not any(module._forward_hooks for module in model)
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]


def test_check_names_the_module_that_was_not_called(model):
    model.add_module("3", layer.Linear(2, 2))
    model.forward = lambda x: model[2](model[1](model[0](x)))
    with pytest.raises(ModelError, match=r"got 0 calls of '3' \(Linear\)"):
        log_of(model).check()
