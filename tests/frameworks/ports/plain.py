"""The small net in plain PyTorch: what every port must equal.

Neurons have H = V / 2 + I, fire where H >= 1 and reset to 0; the reset lets no gradient through.
The surrogate gradient is that of the error function, 2 / sqrt(pi) exp(-(2 u)^2).
"""

import math

import torch
from torch import nn

T = 4


class Erf(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u):
        ctx.save_for_backward(u)
        return (u >= 0).to(u)

    @staticmethod
    def backward(ctx, g):
        (u,) = ctx.saved_tensors
        return g * 2 / math.sqrt(math.pi) * torch.exp(-((2 * u) ** 2))


class Lif(nn.Module):
    def forward(self, x, v):
        h = 0.5 * v + x
        s = Erf.apply(h - 1)
        return s, h * (1 - s.detach())


class Layers(nn.Module):
    """The layers that all ports share, and their order in memory."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1)
        self.pool = nn.AvgPool2d(2)
        self.fc1, self.fc2 = nn.Linear(6 * 16, 12), nn.Linear(12, 3)


class Port(Layers):
    """Loops over time; answers the mean of its output `[B, 3]` to an image `[B, 1, 8, 8]`."""

    def __init__(self):
        super().__init__()
        self.lif1, self.lif2 = Lif(), Lif()

    def forward(self, x):
        v1 = v2 = total = 0
        for _ in range(T):
            s, v1 = self.lif1(self.conv(x), v1)
            s, v2 = self.lif2(self.fc1(self.pool(s).flatten(1)), v2)
            total = total + self.fc2(s)
        return total / T
