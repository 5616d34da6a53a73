"""The fused equations against values that were worked out by hand."""

import pytest
import torch

from spikeprune.neurons.lif import Dynamics, charge_and_fire
from spikeprune.neurons.surrogate_slopes import CLOSED_FORMS

ATAN = CLOSED_FORMS["atan"](2.0)
IF = Dynamics(1.0, 0.0, None, False, False, True, ATAN)
LIF = IF._replace(leak=2.0, divides=True, decay_input=True)


@pytest.mark.parametrize(
    ("dynamics", "x", "h", "last"),
    [
        (IF, [0.6, 0.6, 0.3, 0.9], [0.6, 1.2, 0.3, 1.2], 0.0),
        (IF._replace(reset=None), [0.6, 0.6, 0.3, 0.9], [0.6, 1.2, 0.5, 1.4], 0.4),
        (IF._replace(threshold=0.5, reset=-0.25), [0.5, 0.25, 0.5], [0.5, 0.0, 0.5], -0.25),
        (LIF, [1.5, 1.5, 1.5, 2.0], [0.75, 1.125, 0.75, 1.375], 0.0),
        # H = V - V / 2 + x
        (LIF._replace(decay_input=False), [0.8, 0.8, 0.8], [0.8, 1.2, 0.8], 0.8),
        # H = V + (x - V + 0.5) / 4; V starts at 0
        (LIF._replace(reset=0.5, leak=0.25, divides=False), [3.5, 1.5], [1.0, 0.875], 0.875),
    ],
)
def test_potentials_worked_out_by_hand(dynamics, x, h, last):
    x, v = torch.tensor(x).unsqueeze(1), torch.zeros(1)
    spikes, charged = torch.empty_like(x), torch.empty_like(x)
    charge_and_fire(x, v, dynamics, spikes=spikes, charged=charged)
    torch.testing.assert_close(charged.squeeze(1), torch.tensor(h))
    torch.testing.assert_close(spikes, (charged >= dynamics.threshold).float())
    torch.testing.assert_close(v, torch.tensor([last]))
