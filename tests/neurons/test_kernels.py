"""Kernels compiled by inductor against their operations run one at a time."""

from unittest import mock

import pytest
import torch

from spikeprune.neurons import kernels
from spikeprune.neurons.kernels import Backward, Form, Forward
from spikeprune.neurons.lif import Dynamics
from spikeprune.neurons.surrogate_slopes import CLOSED_FORMS

LIF = Dynamics(1.0, None, 2.0, True, True, True, CLOSED_FORMS["atan"](2.0))


def form_of(dynamics, *, steps=2, static=False, carried=False):
    dynamics = kernels.without_constants(dynamics)
    return Form(steps, torch.float32, static, carried, dynamics)


def test_a_forward_kernel_by_hand():
    """H = V + (x - V) / 2 from V_0 = 1, soft reset: spikes at H >= 1 take 1 away."""
    kind = Forward(form_of(LIF, static=True), observed=True)
    x, state = torch.tensor([[1.0, 2.5, 0.0]]), torch.tensor([1.0])
    spikes, last, potentials = kind(x, state, kernels.constants(LIF))
    charged = torch.tensor([[1.0, 1.75, 0.5], [0.5, 1.625, 0.25]])
    assert torch.equal(potentials, charged - 1)
    assert torch.equal(spikes, torch.tensor([[1.0, 1, 0], [0, 1, 0]]))
    assert torch.equal(last, torch.tensor([0.5, 0.625, 0.25]))


@pytest.mark.parametrize(("time", "expected"), [("mean", [4.0, 5.0]), ("max", [4.0, 4.0])])
def test_potentials_folded_over_time_by_hand(time, expected):
    integrate = LIF._replace(leak=None)  # H is 3, then 2 + x - 1 = 1: squares of H - 1 are 4, 0
    kind = Forward(form_of(integrate), observed=False, folded=(torch.square, time))
    x = torch.tensor([[3.0, 3.0], [-1.0, 0.0]])
    _, _, total, fired = kind(x, torch.zeros(1), kernels.constants(integrate))
    assert total.tolist() == expected
    assert fired.tolist() == [2.0, 2.0]


def test_a_backward_kernel_is_autograd_without_spikes():
    """No surrogate gradient and no spike: V_T is linear in x and V_0."""
    silent = LIF._replace(threshold=9.0, slope=CLOSED_FORMS["piecewise-quadratic"](1.0))
    kind = Backward(form_of(silent, carried=True), last=True, state=True, weight=False)
    x, state = torch.ones(2, 3), torch.zeros(3)
    gradients = torch.zeros(2, 3), torch.tensor([1.0, 2.0, 4.0])
    at_input, at_state = kind(x, state, kernels.constants(silent), *gradients)
    assert torch.equal(at_input, torch.tensor([[0.25], [0.5]]) * gradients[1])
    assert torch.equal(at_state, gradients[1] / 4)


def test_neurons_that_differ_in_constants_share_their_form():
    other = LIF._replace(threshold=0.3, leak=7.0)
    assert form_of(other) == form_of(LIF)
    assert form_of(LIF._replace(reset=0.0)) != form_of(LIF)
    assert form_of(LIF._replace(reset=0.2)) == form_of(LIF._replace(reset=-0.4))
    assert kernels.constants(other).tolist() == pytest.approx([0.3, 0.0, 7.0])


class Slopes:
    """Every closed form in one kernel."""

    def __call__(self, u):
        return tuple(slope(0.7).apply_(u.clone()) for slope in CLOSED_FORMS.values())

    def examples(self):
        return (torch.empty(1, kernels._COLUMNS),)


def test_every_closed_form_is_traced_as_it_is(compiler):
    u = torch.linspace(-3, 3, 999).unsqueeze(0)
    for mine, theirs in zip(kernels._compiled(Slopes())(u), Slopes()(u), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


class Sized(Slopes):
    def __call__(self, u):
        return (u * 2,) if u.shape[1] > 100 else (u * 3,)


def test_a_kernel_that_depends_on_the_size_is_refused(compiler):
    with pytest.raises(RuntimeError, match="for some sizes only"):
        kernels._compiled(Sized())


def test_a_compiler_that_computes_something_else_is_not_used(fresh_process, monkeypatch):
    wrong = mock.Mock(return_value=lambda *_: (torch.zeros(1, 40), torch.zeros(40)))
    monkeypatch.setattr(kernels, "_compiled", wrong)
    assert "something else" in kernels.obstacle()
