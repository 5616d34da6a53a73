"""SpikingJelly 0.0.0.0.12, all steps in a call: a static first layer, then containers over time."""

import torch
from spikingjelly.clock_driven import functional, layer, neuron, surrogate
from torch import nn

from spikeprune import Pruner, cut  # +

T = 5


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.static = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.body = nn.Sequential(
            neuron.MultiStepIFNode(surrogate_function=surrogate.ATan()),
            layer.SeqToANNContainer(
                nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
            ),
            neuron.MultiStepLIFNode(tau=2.0, surrogate_function=surrogate.ATan()),
            layer.SeqToANNContainer(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 4, 3)),
        )

    def forward(self, x):
        x_seq = self.static(x).unsqueeze(0).repeat(T, 1, 1, 1, 1)
        return self.body(x_seq).mean(0)


def answer(net, x):
    functional.reset_net(net)
    return net(x)


x, y = 3 * torch.rand(16, 1, 8, 8), torch.randint(3, (16,))
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
pruner = Pruner(net, optimizer, x[:2], time_steps=T, total_steps=20, sparsity=0.9)  # +
for _ in range(20):
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()
    functional.reset_net(net)
    pruner.step()  # +
result = cut(pruner)  # +
