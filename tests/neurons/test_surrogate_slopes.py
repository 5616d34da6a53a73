"""Slopes against the derivatives of the surrogates' primitives, by autograd in float64."""

import math

import pytest
import torch

from spikeprune.neurons.surrogate_slopes import CLOSED_FORMS, autograd_slope

PRIMITIVES = {  # integral of the slope, up to a constant
    "sigmoid": lambda u, a: torch.sigmoid(a * u),
    "atan": lambda u, a: torch.atan(math.pi / 2 * a * u) / math.pi,
    "piecewise-quadratic": lambda u, a: torch.where(
        u.abs() < 1 / a, a * u - a * a / 2 * u * u.abs(), torch.zeros_like(u)
    ),
    "piecewise-exp": lambda u, a: u.sign() * (1 - torch.exp(-a * u.abs())) / 2,
    "soft-sign": lambda u, a: a * u / (1 + (a * u).abs()) / 2,
    "super-spike": lambda u, a: a * u / (1 + u.abs()),
    "erf": lambda u, a: torch.erf(a * u) / 2,
    "tanh": lambda u, a: torch.tanh(a * u) / 2,
}


def derivative(slope, u):
    value = slope.apply_(u.clone())
    return 1 / value if slope.inverse else value


@pytest.mark.parametrize("a", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("family", CLOSED_FORMS)
def test_a_slope_is_the_derivative_of_its_primitive(family, a):
    u = torch.linspace(-3, 3, 1000, dtype=torch.float64, requires_grad=True)  # 0 is not in it
    (expected,) = torch.autograd.grad(PRIMITIVES[family](u, a).sum(), u)
    slope = CLOSED_FORMS[family](a)
    torch.testing.assert_close(derivative(slope, u.detach()), expected)


@pytest.mark.parametrize("family", CLOSED_FORMS)
def test_it_works_in_place(family):
    u = torch.linspace(-1, 1, 6).reshape(2, 3)
    assert CLOSED_FORMS[family](2.0).apply_(u) is u


def test_the_slope_of_autograd_is_that_of_the_function():
    u = torch.tensor([-1.0, 0.5, 2.0])
    with torch.no_grad():  # as in a backward
        slope = autograd_slope(lambda v: v.square() * 3)
        assert slope.apply_(u) is u
    assert not u.requires_grad
    torch.testing.assert_close(u, 6 * torch.tensor([-1.0, 0.5, 2.0]))
