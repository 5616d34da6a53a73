"""Losses of logits over time by hand and against cross-entropy."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from spikeprune.errors import ConfigError
from spikeprune.training.losses import LOSSES, loss_by_name

T, B, K = 3, 2, 4


def test_losses_by_hand():
    logits = torch.tensor([[[0.0, 0.0]], [[2.0, 0.0]]])  # T = 2, B = 1, K = 2
    target = torch.tensor([0])
    ce = lambda margin: math.log(1 + math.exp(-margin))  # noqa: E731
    assert float(LOSSES["mean-logits"](logits, target)) == pytest.approx(ce(1) / 2)
    assert float(LOSSES["per-step"](logits, target)) == pytest.approx((ce(0) + ce(2)) / 2)


def test_losses_against_cross_entropy():
    logits, target = torch.randn(T, B, K), torch.tensor([3, 1])
    together = cross_entropy(logits.flatten(0, 1), target.repeat(T))
    torch.testing.assert_close(loss_by_name("per-step")(logits, target), together)
    mean = cross_entropy(logits.mean(0), target) / T
    torch.testing.assert_close(loss_by_name("mean-logits")(logits, target), mean)
    with pytest.raises(ConfigError, match="mean-logits, per-step"):
        loss_by_name("mse")
