"""SpikingJelly from 0.0.0.0.13 on, step_mode='s'."""

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from spikeprune import Pruner, cut  # +

T = 5


def build():
    return nn.Sequential(
        layer.Flatten(),
        layer.Linear(64, 40, bias=False),
        neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan()),
        layer.Linear(40, 24, bias=False),
        neuron.ParametricLIFNode(surrogate_function=surrogate.ATan()),
        layer.Linear(24, 3, bias=False),
        neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan()),
    )


def answer(net, x):
    functional.reset_net(net)
    return sum(net(x) for _ in range(T)) / T


x, y = 5 * torch.rand(16, 1, 8, 8), torch.randint(3, (16,))
net = build()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
pruner = Pruner(net, optimizer, x[:2], time_steps=T, total_steps=20, sparsity=0.9)  # +
for _ in range(20):
    optimizer.zero_grad()
    nn.functional.mse_loss(answer(net, x), nn.functional.one_hot(y, 3).float()).backward()
    optimizer.step()
    pruner.step()  # +
result = cut(pruner)  # +
