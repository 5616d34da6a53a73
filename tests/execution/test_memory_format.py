"""Layers whose weight gradient oneDNN computes outside its buffer in channels-last format."""

import pytest
import torch
from spikingjelly.activation_based import layer
from torch import nn

from spikeprune.execution import memory_format
from spikeprune.execution.memory_format import channels_last_is_safe


@pytest.mark.parametrize(
    ("conv", "lanes", "safe"),
    [
        (nn.Conv2d(7, 8, 1, stride=2), 8, False),
        (nn.Conv2d(7, 8, 1, stride=(1, 2)), 8, False),
        (layer.Conv2d(4, 8, 1, stride=2, step_mode="m"), 8, False),
        (nn.Conv2d(8, 8, 1, stride=2), 8, True),
        (nn.Conv2d(8, 8, 1, stride=2), 16, False),
        (nn.Conv2d(16, 8, 1, stride=2), 16, True),
        (nn.Conv2d(4, 8, 1), 8, True),
        (nn.Conv2d(4, 8, 3, stride=2, padding=1), 8, True),
        (nn.Conv2d(4, 8, 1, stride=2, groups=2), 8, True),
        (nn.Conv2d(4, 8, 1, stride=2), 0, True),
        (nn.Conv2d(4, 8, 1, stride=2, device="meta"), 8, True),
        (nn.Linear(4, 8), 8, True),
    ],
)
def test_strided_1x1_convolutions_of_few_channels_are_unsafe(conv, lanes, safe, monkeypatch):
    monkeypatch.setattr(memory_format, "_vector_lanes", lambda: lanes)
    assert channels_last_is_safe(nn.Sequential(nn.Conv2d(3, 64, 3), conv)) == safe


def gradients(conv, x, kind):
    conv = conv.to(memory_format=kind)
    conv.zero_grad()
    x = x.detach().contiguous(memory_format=kind).requires_grad_()
    conv(x).square().sum().backward()
    return conv.weight.grad.contiguous(), x.grad.contiguous()


@pytest.mark.parametrize("channels", [8, 9, 15, 16, 17, 40])
@pytest.mark.parametrize(("size", "stride"), [(8, 2), (32, 2), (33, 3), (16, (4, 2))])
def test_gradients_of_safe_layers_are_those_of_the_default_format(channels, size, stride):
    torch.manual_seed(0)
    conv, x = nn.Conv2d(channels, 12, 1, stride), torch.randn(6, channels, size, size)
    if channels_last_is_safe(conv):
        plain = gradients(conv, x, torch.contiguous_format)
        torch.testing.assert_close(
            gradients(conv, x, torch.channels_last), plain, rtol=1e-4, atol=1e-3
        )
