"""What a BatchNorm stretches, against BatchNorm itself."""

import pytest
import torch
from torch import nn

from spikeprune.errors import ModelError
from spikeprune.execution.batchnorm import norm_gain


def test_the_gain_is_what_a_norm_does_to_a_difference():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3).eval()
    norm.weight.data, norm.running_var.data = torch.tensor([1.0, -2.0, 0.5]), torch.rand(3) + 0.1
    norm.bias.data, norm.running_mean.data = torch.randn(3), torch.randn(3)
    x = torch.randn(1, 3, 1, 1)
    change = (norm(x + 1) - norm(x)).flatten().abs().detach()
    torch.testing.assert_close(norm_gain(nn.Sequential(norm), ("0",), 3), change)


def test_several_norms_give_their_mean_and_none_gives_one():
    model = nn.ModuleList([nn.BatchNorm1d(4), nn.BatchNorm1d(2, affine=False)])
    model[0].weight.data = torch.tensor([1.0, 3.0, 2.0, 2.0])  # 2 positions a channel
    plain = 1 / (1 + 1e-5) ** 0.5
    expected = torch.tensor([1.5, 1.5]) * plain
    torch.testing.assert_close(norm_gain(model, ("0", "1"), 2), expected)
    assert norm_gain(model, (), 2).tolist() == [1.0, 1.0]


def test_a_norm_without_statistics_is_refused():
    model = nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False))
    with pytest.raises(ModelError, match=r"'0'.*track_running_stats=True"):
        norm_gain(model, ("0",), 2)
