"""SpikingJelly 0.0.0.0.12, 0.0.0.0.14 and 2: one step a call; the state is in the neurons."""

import importlib

from tests.frameworks.ports.plain import Layers, T

from spikingjelly import __name__ as _package

try:
    _room = importlib.import_module(f"{_package}.activation_based")
except ModuleNotFoundError:  # its name up to 0.0.0.0.12
    _room = importlib.import_module(f"{_package}.clock_driven")
neuron, surrogate, functional = (
    importlib.import_module(f"{_room.__name__}.{name}")
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
