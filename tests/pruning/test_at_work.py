"""A net takes one pruner at a time: a second one is refused, and told how to end the first."""

import gc

import pytest
import torch
from torch import nn

from spikeprune import Pruner
from spikeprune.errors import ConfigError, ModelError
from spikeprune.pruning.at_work import at_work_on, begin_work, end_work, refuse_second


class Work:
    def __init__(self, model):
        self.parameters = dict(model.named_parameters())
        self.steps, self.events, self.event_steps = 3, [0], (2, 4)


def test_a_pruner_is_at_work_on_each_net_with_its_parameters_until_it_ends():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    one, other = Work(model[1]), Work(nn.Linear(2, 2))
    begin_work(one)
    begin_work(other)
    assert at_work_on(model) is one
    assert at_work_on(model[0]) is None
    with pytest.raises(
        ConfigError, match=r"\(3 steps, 1 of 2 events\).*Pruner\.of\(model\)\.close"
    ):
        refuse_second(model)
    end_work(one)
    end_work(one)
    refuse_second(model)
    begin_work(one)
    del one
    gc.collect()
    refuse_second(model)


def pruner_of(model, **options):
    made = {"method": "magnitude", "sparsity": 0.5, "total_steps": 4} | options
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return Pruner(model, optimizer, torch.zeros(1, 4), time_steps=1, **made)


def test_a_second_pruner_is_refused_until_the_first_is_closed():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    first = pruner_of(model)
    for same in (model, nn.Sequential(model)):
        with pytest.raises(ConfigError, match="another Pruner is at work on this net"):
            pruner_of(same)
    assert Pruner.of(model) is first
    Pruner.of(model).close()
    assert Pruner.of(model) is None
    with pruner_of(model) as second:
        assert Pruner.of(model) is second
    pruner_of(model).close()


def test_a_pruner_that_was_refused_is_not_at_work():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with pytest.raises(ConfigError):
        pruner_of(model, exclude=("nothing",))
    with pytest.raises(ModelError):
        pruner_of(model, method="criticality")
    pruner_of(model).close()
