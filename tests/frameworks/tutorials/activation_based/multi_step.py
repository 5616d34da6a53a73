"""SpikingJelly from 0.0.0.0.13 on, step_mode='m'."""

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from spikeprune import Pruner, cut  # +

T = 5


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            layer.Conv2d(1, 8, 3, padding=1, bias=False),
            layer.BatchNorm2d(8),
            neuron.IFNode(surrogate_function=surrogate.ATan()),
            layer.MaxPool2d(2),
            layer.Flatten(),
            layer.Linear(8 * 16, 16, bias=False),
            neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan()),
            layer.Linear(16, 3, bias=False),
            neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan()),
        )
        functional.set_step_mode(self, "m")

    def forward(self, x):
        return self.body(x.unsqueeze(0).repeat(T, 1, 1, 1, 1)).mean(0)


def answer(net, x):
    functional.reset_net(net)
    return net(x)


x, y = 3 * torch.rand(16, 1, 8, 8), torch.randint(3, (16,))
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
pruner = Pruner(net, optimizer, x[:2], time_steps=T, total_steps=20, sparsity=0.9)  # +
for _ in range(20):
    optimizer.zero_grad()
    nn.functional.mse_loss(net(x), nn.functional.one_hot(y, 3).float()).backward()
    optimizer.step()
    functional.reset_net(net)
    pruner.step()  # +
result = cut(pruner)  # +
