"""Norse cells in a SequentialState; the module around it loops over time and decodes."""

import norse.torch as norse
import torch
from torch import nn

from spikeprune import Pruner, cut  # +

T = 5


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = norse.SequentialState(
            nn.Conv2d(1, 8, 3, padding=1),
            norse.LIFBoxCell(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8 * 16, 16),
            norse.LIFCell(),
            nn.Linear(16, 3, bias=False),
            norse.LICell(),
        )

    def forward(self, x):
        state, voltages = None, []
        for _ in range(T):
            out, state = self.body(x, state)
            voltages.append(out)
        return torch.stack(voltages).max(0).values


def answer(net, x):
    return net(x)


x, y = 40 * torch.rand(16, 1, 8, 8), torch.randint(3, (16,))
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
pruner = Pruner(net, optimizer, x[:2], time_steps=T, total_steps=20, sparsity=0.9)  # +
for _ in range(20):
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()
    pruner.step()  # +
result = cut(pruner)  # +
