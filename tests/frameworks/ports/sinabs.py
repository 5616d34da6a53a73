"""Sinabs: samples and time are one axis of the layers, `[B*T, ...]`."""

import math

from sinabs.activation import Gaussian, MembraneReset, SingleSpike
from sinabs.layers import LIFSqueeze
from tests.frameworks.ports.plain import Layers, T


def lif():
    found = LIFSqueeze(
        tau_mem=1 / math.log(2),
        num_timesteps=T,
        spike_fn=SingleSpike,
        reset_fn=MembraneReset(),
        surrogate_grad_fn=Gaussian(sigma=1 / math.sqrt(8)),
        norm_input=False,
    )
    found.tau_mem.requires_grad_(False)  # the time constant of the other ports does not learn
    return found


class Port(Layers):
    def __init__(self):
        super().__init__()
        self.lif1, self.lif2 = lif(), lif()

    def forward(self, x):
        self.lif1.reset_states()
        self.lif2.reset_states()
        x = x.repeat_interleave(T, 0)
        x = self.pool(self.lif1(self.conv(x))).flatten(1)
        return self.fc2(self.lif2(self.fc1(x))).unflatten(0, (-1, T)).mean(1)
