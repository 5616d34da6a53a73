"""snnTorch with explicit states; the loop over time is inside and both records are returned."""

import snntorch as snn
import torch
from torch import nn

from spikeprune import Pruner, cut  # +

T = 5


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(28, 40)
        self.lif1 = snn.Leaky(beta=0.95)
        self.fc2 = nn.Linear(40, 3)
        self.lif2 = snn.Leaky(beta=0.95)

    def forward(self, x):
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        spikes, potentials = [], []
        for _ in range(T):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            potentials.append(mem2)
        return torch.stack(spikes), torch.stack(potentials)


def answer(net, x):
    return net(x)[0].mean(0)


x, y = 3 * torch.rand(32, 28), torch.randint(3, (32,))
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
pruner = Pruner(net, optimizer, x, time_steps=T, total_steps=20, sparsity=0.9, layout=answer)  # +
for _ in range(20):
    _, mem = net(x)
    loss = sum(nn.functional.cross_entropy(step, y) for step in mem)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    pruner.step()  # +
result = cut(pruner)  # +
