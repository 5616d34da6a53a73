"""Sinabs with its default: a neuron emits several spikes a step, and none is found."""

import sinabs
import sinabs.layers as sl
import torch
from sinabs.activation import SingleExponential
from torch import nn

from spikeprune import Pruner, cut  # +

B, T = 8, 5


def iaf():
    return sl.IAFSqueeze(batch_size=B, min_v_mem=-1.0, surrogate_grad_fn=SingleExponential())


def build():
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1, bias=False),
        iaf(),
        sl.SumPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1, bias=False),
        iaf(),
        sl.SumPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 4, 3, bias=False),
        iaf(),
    )


def answer(net, x):
    sinabs.reset_states(net)
    return net(x.flatten(0, 1)).unflatten(0, (B, T)).sum(1)


x, y = 2 * torch.rand(B, T, 2, 8, 8), torch.randint(3, (B,))
net = build()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
pruner = Pruner(net, optimizer, x, time_steps=T, total_steps=20, sparsity=0.9, layout=answer)  # +
for _ in range(20):
    optimizer.zero_grad()
    nn.functional.cross_entropy(answer(net, x), y).backward()
    optimizer.step()
    pruner.step()  # +
result = cut(pruner)  # +
