"""The fused equations against values that were worked out by hand."""

import pytest
import torch

from spikeprune.errors import ModelError
from spikeprune.neurons.lif import (
    Dynamics,
    accumulate,
    charge_and_fire,
    first_derivatives_only,
    leak_factor,
    leak_term,
    spike_gradient,
)
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


@pytest.mark.parametrize(
    ("dynamics", "factor", "expected"),
    [  # the slope of `atan` is 1 at the threshold; H = 1 fires
        (IF, [0.0], [2.0]),
        (IF._replace(reset=None), None, [2.0]),
        (IF._replace(detach_reset=False, reset=-0.5), [-1.5], [2.0]),  # 0 + (V_r - H) g
        (IF._replace(detach_reset=False, reset=None), [0.0], [2.0]),  # 1 - V_th g
    ],
)
def test_gradients_at_the_charge_worked_out_by_hand(dynamics, factor, expected):
    h, out, scratch = torch.ones(1), torch.empty(1), torch.empty(2, 1)
    through = spike_gradient(h, torch.tensor([2.0]), dynamics, out=out, scratch=scratch.unbind(0))
    torch.testing.assert_close(out, torch.tensor(expected))
    assert (None if through is None else through.tolist()) == factor


def test_gradients_flow_back_through_leak_and_reset():
    rows, factors = torch.ones(3, 1), torch.tensor([[0.5], [2.0], [1.0]])
    accumulate(rows.unbind(0), factors.unbind(0), torch.tensor([3.0]), LIF)
    assert rows.flatten().tolist() == [2.25, 5.0, 4.0]  # G_t = 1 + M_t G_{t+1} / 2


@pytest.mark.parametrize("decay_input", [True, False])
def test_the_gradient_at_w_is_that_of_the_charge(decay_input):
    w = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    x, v, rest = torch.tensor([0.7, -0.2]).double(), torch.tensor([0.3, 0.9]).double(), -0.25
    k = torch.sigmoid(w)
    h = v + k * (x - (v - rest)) if decay_input else v - k * (v - rest) + x
    (expected,) = torch.autograd.grad((2 * h).sum(), w)
    plif = LIF._replace(reset=rest, leak=k.item(), divides=False, decay_input=decay_input)
    terms = leak_term(torch.full((2,), 2.0).double(), h.detach(), v.clone(), plif)
    torch.testing.assert_close(terms.sum() * leak_factor(plif), expected)


def test_second_derivatives_are_refused():
    with torch.no_grad():
        first_derivatives_only()
    with pytest.raises(ModelError, match="create_graph=True"):
        first_derivatives_only()
