"""snnTorch: it has no surrogate of the error function, so that of the plain net is given to it."""

import snntorch
from tests.frameworks.ports.plain import Erf, Layers, T


def leaky():
    return snntorch.Leaky(beta=0.5, reset_mechanism="zero", spike_grad=Erf.apply)


class Port(Layers):
    def __init__(self):
        super().__init__()
        self.lif1, self.lif2 = leaky(), leaky()

    def forward(self, x):
        mem1, mem2, total = self.lif1.reset_mem(), self.lif2.reset_mem(), 0
        for _ in range(T):
            s, mem1 = self.lif1(self.conv(x), mem1)
            s, mem2 = self.lif2(self.fc1(self.pool(s).flatten(1)), mem2)
            total = total + self.fc2(s)
        return total / T
