"""The ways to call a net that a trace tries, and their inputs."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from spikeprune.errors import ConfigError
from spikeprune.wiring.owners_call import possible_calls


def ways(model, example, **options):
    return list(possible_calls(model, example, **{"time_steps": 4, "layout": None} | options))


def test_nets_in_multi_step_mode_get_sequences_first():
    model = nn.Sequential(layer.Linear(3, 4), neuron.IFNode())
    functional.set_step_mode(model, "m")
    found = ways(model, torch.zeros(1, 3))
    assert [way.layout for way in found] == ["sequence", "batch", "batch", "step"]
    assert found[0].x.shape == (4, 3, 3)
    assert next(way.layout for way in ways(nn.Linear(3, 4), torch.zeros(1, 3))) == "batch"


@pytest.mark.parametrize("layout", ["sequence", "batch", "step"])
def test_another_first_sample_and_nothing_else(layout):
    way = ways(nn.Linear(3, 4), torch.zeros(1, 3), layout=layout)[0]
    axis = 1 if layout == "sequence" else 0
    same = (way.x == way.other).movedim(axis, 0)
    assert same[1:].all()
    assert not same[0].any()
    assert way.x.requires_grad


def test_a_net_of_one_step_is_called_several_times():
    way = ways(nn.Linear(3, 4), torch.zeros(1, 3), layout="step", time_steps=300)[0]
    assert len(way.run(way.x)) == way.steps == 8


def test_a_function_gets_the_owners_batch():
    batch = {"x": torch.rand(5, 3), "length": 7, "ids": torch.arange(5)}
    way = ways(nn.Linear(3, 4), batch, layout=lambda net, b: net(b["x"]))[0]
    assert way.batch == 5
    assert way.run(way.x).shape == (5, 4)
    assert torch.equal(way.x["ids"], batch["ids"])
    assert (way.other["x"][0] != batch["x"][0]).all()
    assert torch.equal(way.other["x"][1:], batch["x"][1:])


def test_what_cannot_be_called_is_refused():
    with pytest.raises(ConfigError, match="unknown layout 'sideways'"):
        ways(nn.Linear(3, 4), torch.zeros(1, 3), layout="sideways")
    with pytest.raises(ConfigError, match="a tensor as example, got dict; give layout a function"):
        ways(nn.Linear(3, 4), {"x": torch.zeros(1, 3)})
