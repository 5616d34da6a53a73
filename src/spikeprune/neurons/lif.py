"""Equations of IF, LIF and PLIF neurons over many time steps, forward and backward.

X_t is the input, H_t the potential before and V_t after reset, S_t the spike:

    IF     H_t = V_{t-1} + X_t
    LIF    H_t = V_{t-1} + k (X_t - (V_{t-1} - V_r))    or, where the input does not decay,
           H_t = V_{t-1} - k (V_{t-1} - V_r) + X_t      k = 1 / tau; PLIF: k = sigmoid(w)
    S_t = 1 where H_t >= V_th, else 0
    V_t = V_r S_t + (1 - S_t) H_t (hard reset)    or    H_t - V_th S_t (soft reset; V_r = 0)

The operations and their order are those of SpikingJelly's reference path, so float32 spikes equal
its spikes bit for bit. In the backward, G_t is the gradient at H_t, g_t the surrogate derivative
at H_t - V_th, and L = dH_t / dV_{t-1} (1 for IF, otherwise 1 - k):

    G_t = g_t dS_t + L M_t G_{t+1}
    M_t = dV_t / dH_t = 1 - S_t (hard) or 1 (soft); unless the reset is detached, plus
                        (V_r - H_t) g_t (hard) or - V_th g_t (soft)
    dX_t = k G_t, or G_t where the input does not decay (IF too);    dV_0 = L G_1
    dw = (1 - k) sum_t G_t (H_t - V_{t-1}), or - k (1 - k) sum_t G_t (V_{t-1} - V_r)

All results are written into tensors of the caller, so that both bodies share these equations: the
eager body passes blocks of columns, which saves memory traffic; the compiled body passes fresh
rows, which exist only in its trace, and numbers as 0-dimensional tensors.
"""

from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import NamedTuple

import torch
from torch import Tensor

from spikeprune.errors import ModelError
from spikeprune.neurons.surrogate_slopes import Slope

Number = float | Tensor
"""A constant: a number, or a 0-dimensional tensor in a trace that must hold for any number."""


class Dynamics(NamedTuple):
    """Constants of one neuron; the formulas are in the module's docstring."""

    threshold: Number  # V_th
    reset: Number | None  # V_r of a hard reset, a tensor only if it is not 0; None for a soft reset
    leak: Number | None  # k or tau; None for IF
    # Whether `leak` is tau. SpikingJelly's LIF divides by tau; unless tau is a power of two,
    # multiplying by 1 / tau would differ in the last bit.
    divides: bool
    decay_input: bool  # whether k also scales the input
    detach_reset: bool  # whether no gradient flows through the reset
    slope: Slope  # surrogate derivative

    @property
    def rate(self) -> Number:
        """Fraction k of the potential that leaks in one step; 0 for IF."""
        if self.leak is None:
            return 0.0
        return 1 / self.leak if self.divides else self.leak

    @property
    def rest(self) -> Number | None:
        """V_r, or None if it is 0 or the reset is soft."""
        return self.reset if isinstance(self.reset, Tensor) else self.reset or None


def charge_and_fire(
    x: Iterable[Tensor],
    v: Tensor,
    dynamics: Dynamics,
    *,
    spikes: Iterable[Tensor],
    charged: Iterable[Tensor],
) -> None:
    """Run one block of n neurons through time; every sequence holds one `[n]` per step.

    `v` is V_0 and becomes V_T. `spikes` and `charged` are overwritten with S and H; a single `[n]`
    in `charged` is scratch for every step.
    """
    for current, spike, h in zip(x, spikes, cycle(charged), strict=False):
        _charge(current, v, h, dynamics)
        torch.ge(h, dynamics.threshold, out=spike)
        reset_to(v, h, spike, dynamics)


def spike_gradient(
    h: Tensor, at_spikes: Tensor, dynamics: Dynamics, *, out: Tensor, scratch: Sequence[Tensor]
) -> Tensor | None:
    """Write g dS, the gradient at H that comes through the spikes, to `out`; return M.

    All tensors have the shape of `h`, the charged potentials. `at_spikes` is dS, `scratch` holds
    two tensors, of which the second becomes M; None stands for ones.
    """
    slope, factor = scratch
    torch.sub(h, dynamics.threshold, out=slope)
    dynamics.slope.apply_(slope)
    inverse = dynamics.slope.inverse
    if inverse and not dynamics.detach_reset:
        slope.reciprocal_()
        inverse = False
    (torch.div if inverse else torch.mul)(at_spikes, slope, out=out)
    return factor if _through_reset(h, slope, factor, dynamics) else None


def accumulate(
    rows: Sequence[Tensor],
    factors: Sequence[Tensor] | None,
    at_last: Tensor | None,
    dynamics: Dynamics,
) -> None:
    """Turn `rows`, g dS of each step, into G by adding the gradients from later steps.

    `factors` are M of each step, where None stands for ones; `at_last` is the gradient at V_T.
    """
    if at_last is not None:
        _add(rows[-1], at_last, factors[-1] if factors else None, 1.0)
    for t in range(len(rows) - 2, -1, -1):
        _add(rows[t], rows[t + 1], factors[t] if factors else None, 1 - dynamics.rate)


def leak_factor(dynamics: Dynamics) -> Number:
    """Return the factor from the sum of `leak_term` over all steps to the gradient at w."""
    k = dynamics.rate
    return 1 - k if dynamics.decay_input else -k * (1 - k)


def leak_term(g: Tensor, h: Tensor, previous: Tensor, dynamics: Dynamics) -> Tensor:
    """Overwrite V before the step with the step's term of the gradient at w; return it."""
    if dynamics.decay_input:  # X - (V - V_r) is (H - V) / k
        torch.sub(h, previous, out=previous)
    elif dynamics.rest is not None:
        previous.sub_(dynamics.rest)
    return previous.mul_(g)


def input_gradient(g: Tensor, dynamics: Dynamics, *, out: Tensor) -> None:
    """Write the gradient at the input, k G or G, to `out`, which may be `g` itself."""
    if dynamics.decay_input:
        torch.mul(g, dynamics.rate, out=out)
    elif out is not g:
        out.copy_(g)


def reset_to(v: Tensor, h: Tensor, spikes: Tensor, dynamics: Dynamics) -> None:
    """Write V after the reset to `v`, elementwise."""
    if dynamics.reset is None:
        _plus(h, spikes, -dynamics.threshold, out=v)
        return
    torch.addcmul(h, spikes, h, value=-1, out=v)
    if dynamics.rest is not None:
        _plus(v, spikes, dynamics.rest, out=v)


def _charge(x: Tensor, v: Tensor, h: Tensor, dynamics: Dynamics) -> None:
    if dynamics.leak is None:
        torch.add(v, x, out=h)
        return
    above = v if dynamics.rest is None else torch.sub(v, dynamics.rest, out=h)
    if dynamics.decay_input:
        torch.sub(x, above, out=h)
        _leak(h, h, dynamics)
        h.add_(v)
    else:
        _leak(above, h, dynamics)
        torch.sub(v, h, out=h)
        h.add_(x)


def _leak(value: Tensor, out: Tensor, dynamics: Dynamics) -> None:
    assert dynamics.leak is not None
    (torch.div if dynamics.divides else torch.mul)(value, dynamics.leak, out=out)


def _through_reset(h: Tensor, slope: Tensor, out: Tensor, dynamics: Dynamics) -> bool:
    """Write M to `out` and return True, or return False if M is all ones."""
    if dynamics.reset is None:
        if dynamics.detach_reset:
            return False
        torch.mul(slope, -dynamics.threshold, out=out).add_(1)
        return True
    torch.lt(h, dynamics.threshold, out=out)
    if not dynamics.detach_reset:
        out.addcmul_(h, slope, value=-1)
        if dynamics.rest is not None:
            _plus(out, slope, dynamics.rest, out=out)
    return True


def _plus(total: Tensor, term: Tensor, scale: Number, *, out: Tensor) -> None:
    """Write `total + scale * term` to `out`."""
    if isinstance(scale, Tensor):
        torch.addcmul(total, term, scale, out=out)
    else:
        torch.add(total, term, alpha=scale, out=out)


def _add(total: Tensor, term: Tensor, factor: Tensor | None, scale: Number) -> None:
    """Add `scale * factor * term` to `total`."""
    if factor is None:
        _plus(total, term, scale, out=total)
    elif isinstance(scale, Tensor):
        total.addcmul_(term * scale, factor)
    else:
        total.addcmul_(term, factor, value=scale)


def first_derivatives_only() -> None:
    """Refuse `create_graph=True` in a backward that cannot be differentiated."""
    if torch.is_grad_enabled():
        raise ModelError(
            "expected only first derivatives through fused neurons, got a backward with "
            "create_graph=True; run unfuse(model) before a method that differentiates twice"
        )
