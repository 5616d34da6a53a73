"""Surrogate derivatives, computed in place for the backward of fused neurons.

`u = H - V_th` is the charged potential relative to threshold. A `Slope` turns `u` into `f(u)`,
and the derivative is `f(u)` or `1 / f(u)`. If the closed form is a quotient, dividing the gradient
by its denominator saves one pass over memory.
"""

import functools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor


class Slope(NamedTuple):
    """A surrogate derivative."""

    apply_: Callable[[Tensor], Tensor]  # overwrites `u` with `f(u)`, elementwise, float32 or 64
    inverse: bool = False  # whether the derivative is `1 / f` instead of `f`
    closed: bool = True  # whether `apply_` is a closed form that a compiler can trace

    def of(self, u: Tensor) -> Tensor:
        """Return the derivative at `u` as a new tensor."""
        value = self.apply_(u.clone())
        return value.reciprocal_() if self.inverse else value


def _sigmoid(a: float) -> Slope:
    def apply_(u: Tensor) -> Tensor:
        u.mul_(a).sigmoid_()
        return u.addcmul_(u, u, value=-1).mul_(a)

    return Slope(apply_)


def _atan(a: float) -> Slope:
    half = a / 2

    def apply_(u: Tensor) -> Tensor:
        constant = torch.tensor(1 / half, dtype=u.dtype, device=u.device)
        return torch.addcmul(constant, u, u, value=math.pi**2 * half, out=u)

    return Slope(apply_, inverse=True)


def _piecewise_quadratic(a: float) -> Slope:
    return Slope(lambda u: u.abs_().mul_(-a * a).add_(a).clamp_min_(0))


def _piecewise_exp(a: float) -> Slope:
    return Slope(lambda u: u.abs_().mul_(-a).exp_().mul_(a / 2))


def _soft_sign(a: float) -> Slope:
    return Slope(lambda u: u.abs_().add_(1 / a).square_().mul_(2 * a), inverse=True)


def _super_spike(a: float) -> Slope:
    return Slope(lambda u: u.abs_().add_(1).square_().mul_(1 / a), inverse=True)


def _erf(a: float) -> Slope:
    return Slope(lambda u: u.square_().mul_(-a * a).exp_().mul_(a / math.sqrt(math.pi)))


def _tanh(a: float) -> Slope:
    return Slope(lambda u: u.mul_(a).tanh_().square_().mul_(-a / 2).add_(a / 2))


CLOSED_FORMS: Mapping[str, Callable[[float], Slope]] = MappingProxyType(
    {
        "sigmoid": functools.cache(_sigmoid),
        "atan": functools.cache(_atan),
        "piecewise-quadratic": functools.cache(_piecewise_quadratic),
        "piecewise-exp": functools.cache(_piecewise_exp),
        "soft-sign": functools.cache(_soft_sign),
        "super-spike": functools.cache(_super_spike),
        "erf": functools.cache(_erf),
        "tanh": functools.cache(_tanh),
    }
)
"""Slopes with one parameter a > 0, by family. Equal parameters give one object, so that neurons
share their kernels.

`sigmoid` a s(au) (1 - s(au)) with the logistic function s; `atan` (a/2) / (1 + (pi a u / 2)^2);
`piecewise-quadratic` max(0, a - a^2 |u|); `piecewise-exp` (a/2) exp(-a |u|); `soft-sign`
1 / (2a (1/a + |u|)^2); `super-spike` a / (1 + |u|)^2; `erf` (a / sqrt(pi)) exp(-(au)^2); `tanh`
(a/2) (1 - tanh(au)^2). Source: the surrogates of SpikingJelly; `tanh` is that of the paper's
weight-pruning script.
"""


def autograd_slope(surrogate: Callable[[Tensor], Tensor]) -> Slope:
    """Return the derivative that autograd computes for a surrogate, from `u` to spikes.

    It must be elementwise, deterministic and without parameters, so that one call is exact.
    """

    def apply_(u: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = u.clone().requires_grad_()
            spikes = surrogate(leaf)
            (slope,) = torch.autograd.grad(spikes, leaf, torch.ones_like(spikes))
        return u.copy_(slope)

    return Slope(apply_, closed=False)
