"""Norse: its neuron takes half of its input, so it is given twice; its reset is a function."""

import norse.torch as norse
import torch
from tests.frameworks.ports.plain import Layers, T

HALF = norse.LIFBoxParameters(
    tau_mem_inv=torch.tensor(0.5),
    method="heavi_erfc",
    alpha=2.0,
    reset_method=lambda z, v, v_reset, v_th: v * (1 - z.detach()),
)


class Port(Layers):
    def __init__(self):
        super().__init__()
        self.lif1, self.lif2 = (norse.LIFBoxCell(p=HALF, dt=1.0) for _ in range(2))

    def forward(self, x):
        state1 = state2 = None
        total = 0
        for _ in range(T):
            s, state1 = self.lif1(2 * self.conv(x), state1)
            s, state2 = self.lif2(2 * self.fc1(self.pool(s).flatten(1)), state2)
            total = total + self.fc2(s)
        return total / T
