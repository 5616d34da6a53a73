"""The record of a forward, and what repeated runs with one thing changed show."""

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from spikeprune.errors import ModelError
from spikeprune.wiring.trace_log import CODES, CallLog, channels_in_code, operation


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(layer.Conv2d(3, 4, 3), neuron.IFNode(), layer.Conv2d(4, 2, 3))


def log_of(model, x=None):
    layers = {n: m for n, m in model.named_children() if isinstance(m, nn.Conv2d)}
    neurons = {n: m for n, m in model.named_children() if isinstance(m, neuron.IFNode)}
    log = CallLog(model, layers=layers, norms={}, neurons=neurons, run=model)
    log.record(torch.randn(2, 3, 8, 8, requires_grad=True) if x is None else x)
    return log


def test_each_module_has_its_nodes_and_values(model):
    log = log_of(model)
    ((first,), (spikes,), (second,)) = (log.visits[name] for name in "012")
    assert [operation(visit.after) for visit in (first, second)] == ["Convolution"] * 2
    assert spikes.before is first.after
    assert second.before is spikes.after
    assert (first.x.shape, first.out.shape) == ((2, 3, 8, 8), (2, 4, 6, 6))
    assert torch.equal(second.x, spikes.out)
    assert set(spikes.out.unique().tolist()) == {0.0, 1.0}


def test_the_model_is_left_as_it_was_after_a_failure(model):
    model[0].requires_grad_(False)
    with pytest.raises(ModelError, match="does not run on the example as it is called"):
        log_of(model, torch.zeros(2, 7, 8, 8))
    assert not any(module._forward_hooks for module in model)
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]


def test_another_first_sample_changes_the_first_sample_everywhere(model):
    x = torch.randn(3, 3, 8, 8)
    other = x.clone()
    other[0] += 1
    log = log_of(model, x)
    (changed,) = log.compare_samples(other)["1"]
    assert changed[0].any()
    assert not changed[1:].any()


def test_other_channels_change_those_channels(model):
    found = log_of(model).compare_channels(torch.randn(2, 3, 8, 8), {"0": 3, "1": 3, "2": 3})
    for bit in range(CODES):
        assert torch.equal(found["1"][bit], channels_in_code(4, bit))
        assert torch.equal(found["2"][bit], channels_in_code(4, bit))


def test_sixteen_channels_have_codes_of_their_own():
    codes = sum(channels_in_code(16, bit).long() << bit for bit in range(CODES))
    assert sorted(codes.tolist()) == list(range(16))


def test_a_net_that_takes_another_way_is_told(model):
    ways = iter([True, False])
    model.forward = lambda x: model[2](model[1](model[0](x))) if next(ways) else model[0](x[:1])
    log = CallLog(model, layers={"0": model[0]}, norms={}, neurons={"1": model[1]}, run=model)
    x = torch.randn(2, 3, 8, 8)
    log.record(x)
    assert log.compare_channels(x, {"0": 3}) is None
