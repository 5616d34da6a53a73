"""Sinabs on `[B, T, ...]`: layers and neurons take all time steps at once."""

import sinabs.layers as sl
import torch
from sinabs import reset_states
from sinabs.activation import SingleSpike
from torch import nn

from spikeprune import Pruner, cut  # +

T = 5


def build():
    return nn.Sequential(
        nn.Linear(28, 40),
        sl.LIF(tau_mem=20.0, spike_fn=SingleSpike, norm_input=False),
        nn.Linear(40, 24),
        sl.LIF(tau_mem=20.0, spike_fn=SingleSpike, norm_input=False),
        nn.Linear(24, 3),
        sl.ExpLeak(tau_mem=20.0),
    )


def answer(net, x):
    reset_states(net)
    return net(x).mean(1)


x, y = torch.rand(16, T, 28), torch.randint(3, (16,))
net = build()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
pruner = Pruner(net, optimizer, x[:2], time_steps=T, total_steps=20, sparsity=0.9)  # +
for _ in range(20):
    optimizer.zero_grad()
    nn.functional.cross_entropy(answer(net, x), y).backward()
    optimizer.step()
    pruner.step()  # +
result = cut(pruner)  # +
