"""Norse on sequences `[T, B, ...]`: layers lifted over time, a net that returns its state."""

import norse.torch as norse
import torch
from torch import nn

from spikeprune import Pruner, cut  # +

T = 5


def build():
    return norse.SequentialState(
        norse.Lift(nn.Conv2d(1, 8, 3, padding=1)),
        norse.LIF(),
        norse.Lift(nn.AvgPool2d(2)),
        nn.Flatten(2),
        nn.Linear(8 * 16, 3),
        norse.LI(),
    )


def answer(net, x):
    voltages, _ = net(x.expand(T, *x.shape))
    return voltages.mean(0)


x, y = 80 * torch.rand(16, 1, 8, 8), torch.randint(3, (16,))
net = build()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
pruner = Pruner(net, optimizer, x, time_steps=T, total_steps=20, sparsity=0.9, layout=answer)  # +
for _ in range(20):
    optimizer.zero_grad()
    nn.functional.cross_entropy(answer(net, x), y).backward()
    optimizer.step()
    pruner.step()  # +
result = cut(pruner)  # +
