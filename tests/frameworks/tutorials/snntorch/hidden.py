"""snnTorch with hidden states in a Sequential; the loop over time is outside."""

import snntorch as snn
import torch
from snntorch import surrogate, utils
from torch import nn

from spikeprune import Pruner, cut  # +

T = 4


def build():
    options = {"beta": 0.5, "spike_grad": surrogate.fast_sigmoid(slope=25), "init_hidden": True}
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.MaxPool2d(2),
        snn.Leaky(**options),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.MaxPool2d(2),
        snn.Leaky(**options),
        nn.Flatten(),
        nn.Linear(8 * 4, 3),
        snn.Leaky(**options, output=True),
    )


def forward_pass(net, x):
    utils.reset(net)
    spikes, potentials = zip(*(net(x) for _ in range(T)), strict=True)
    return torch.stack(spikes), torch.stack(potentials)


def answer(net, x):
    return forward_pass(net, x)[0].mean(0)


x, y = 3 * torch.rand(16, 1, 8, 8), torch.randint(3, (16,))
net = build()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
pruner = Pruner(net, optimizer, x, time_steps=T, total_steps=20, sparsity=0.9, layout=answer)  # +
for _ in range(20):
    _, mem = forward_pass(net, x)
    loss = nn.functional.cross_entropy(mem.mean(0), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    pruner.step()  # +
result = cut(pruner)  # +
