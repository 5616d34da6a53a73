"""SpikingJelly 0.0.0.0.12, 0.0.0.0.14 and 2: one step a call; the state is in the neurons."""

import importlib
import importlib.util

from tests.frameworks.ports.plain import Layers, T

# `clock_driven` is the name up to 0.0.0.0.12.
_new = importlib.util.find_spec("spikingjelly.activation_based") is not None
neuron, surrogate, functional = (
    importlib.import_module(f"spikingjelly.{'activation_based' if _new else 'clock_driven'}.{name}")
    for name in ("neuron", "surrogate", "functional")
)


def lif():
    erf = surrogate.Erf(alpha=2.0)
    return neuron.LIFNode(decay_input=False, surrogate_function=erf, detach_reset=True)


class Port(Layers):
    def __init__(self):
        super().__init__()
        self.lif1, self.lif2 = lif(), lif()

    def forward(self, x):
        functional.reset_net(self)
        total = 0
        for _ in range(T):
            x1 = self.pool(self.lif1(self.conv(x))).flatten(1)
            total = total + self.fc2(self.lif2(self.fc1(x1)))
        return total / T
