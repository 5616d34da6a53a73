"""The losses against cross entropy worked out from its definition."""

import math

import pytest
import torch

from spikeprune.errors import ConfigError
from spikeprune.training.losses import LOSSES, loss_by_name


def cross_entropy(logits, target):
    return -(logits[target] - math.log(sum(math.exp(v) for v in logits)))


LOGITS = [[[0.0, 1.0], [2.0, -1.0]], [[3.0, 0.5], [0.0, 0.0]], [[-1.0, 0.0], [1.0, 1.5]]]
TARGET = [1, 0]


def test_mean_logits_is_the_loss_of_the_mean_over_time_divided_by_the_steps():
    means = [[sum(step[b][k] for step in LOGITS) / 3 for k in range(2)] for b in range(2)]
    expected = sum(cross_entropy(means[b], TARGET[b]) for b in range(2)) / 2 / 3
    found = loss_by_name("mean-logits")(torch.tensor(LOGITS), torch.tensor(TARGET))
    assert found.item() == pytest.approx(expected)


def test_per_step_is_the_mean_of_the_losses_of_the_steps():
    terms = [cross_entropy(step[b], TARGET[b]) for step in LOGITS for b in range(2)]
    found = loss_by_name("per-step")(torch.tensor(LOGITS), torch.tensor(TARGET))
    assert found.item() == pytest.approx(sum(terms) / 6)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_train(name):
    logits = torch.tensor(LOGITS, requires_grad=True)
    loss_by_name(name)(logits, torch.tensor(TARGET)).backward()
    of_targets = logits.grad[:, [0, 1], TARGET]
    assert bool((of_targets < 0).all())


def test_an_unknown_loss_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown loss 'mse'.*mean-logits, per-step"):
        loss_by_name("mse")
