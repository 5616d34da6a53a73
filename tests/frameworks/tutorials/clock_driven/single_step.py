"""SpikingJelly 0.0.0.0.12, one step a call."""

import torch
from spikingjelly.clock_driven import functional, neuron, surrogate
from torch import nn

from spikeprune import Pruner, cut  # +

T = 5


def build():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        neuron.IFNode(surrogate_function=surrogate.ATan()),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 16, 16, bias=False),
        neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan()),
        nn.Linear(16, 3, bias=False),
        neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan()),
    )


def answer(net, x):
    functional.reset_net(net)
    return sum(net(x) for _ in range(T)) / T


x, y = 3 * torch.rand(16, 1, 8, 8), torch.randint(3, (16,))
net = build()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
pruner = Pruner(net, optimizer, x[:2], time_steps=T, total_steps=20, sparsity=0.9)  # +
for _ in range(20):
    optimizer.zero_grad()
    nn.functional.mse_loss(answer(net, x), nn.functional.one_hot(y, 3).float()).backward()
    optimizer.step()
    pruner.step()  # +
result = cut(pruner)  # +
