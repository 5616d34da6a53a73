"""IF, LIF and PLIF over many time steps at once: one forward, one backward written by hand.

With the input X_t, the potential H_t before and V_t after reset, and the spike S_t:

    IF     H_t = V_{t-1} + X_t
    LIF    H_t = V_{t-1} + k (X_t - (V_{t-1} - V_r))    or, where the input does not decay,
           H_t = V_{t-1} - k (V_{t-1} - V_r) + X_t      k = 1 / tau; PLIF: k = sigmoid(w)
    S_t = 1 where H_t >= V_th, else 0
    V_t = V_r S_t + (1 - S_t) H_t (hard reset)    or    H_t - V_th S_t (soft reset; V_r = 0)

The operations and their order are those of SpikingJelly's reference path, so in float32 the spikes
are the same bit for bit. In the backward, with G_t the gradient at H_t, g_t
the slope of the surrogate at H_t - V_th, and L = dH_t / dV_{t-1} (1 for IF, otherwise 1 - k):

    G_t = g_t dS_t + L M_t G_{t+1}
    M_t = dV_t / dH_t = 1 - S_t (hard) or 1 (soft); unless the reset is detached, plus
                        (V_r - H_t) g_t (hard) or - V_th g_t (soft)
    dX_t = k G_t, or G_t where the input does not decay (IF too);    dV_0 = L G_1
    dw = (1 - k) sum_t G_t (H_t - V_{t-1}), or - k (1 - k) sum_t G_t (V_{t-1} - V_r)

Everything is written into tensors that the caller gives: the eager body gives blocks of columns and
saves the memory traffic, the compiled body gives fresh rows, which exist only in its trace, and
numbers as 0-dimensional tensors. So there is one text of the equations for both.
"""

from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import NamedTuple

import torch
from torch import Tensor

from spikeprune.errors import ModelError
from spikeprune.neurons.surrogate_slopes import Slope

Number = float | Tensor
"""A constant: a number, or a 0-dimensional tensor in a trace that serves many numbers."""


class Dynamics(NamedTuple):
    """What one neuron computes; the formulas are in the module's docstring.

    Attributes:
        threshold: V_th.
        reset: V_r of a hard reset; None is a soft reset. A tensor is not 0.
        leak: k or tau; None for IF.
        divides: whether `leak` is tau. SpikingJelly's LIF divides by tau, and so must this, for the
            product with 1 / tau differs in the last bit, unless tau is a power of two.
        decay_input: whether k scales the input too.
        detach_reset: whether no gradient flows through the reset.
        slope: derivative of the surrogate.
    """

    threshold: Number
    reset: Number | None
    leak: Number | None
    divides: bool
    decay_input: bool
    detach_reset: bool
    slope: Slope

    @property
    def rate(self) -> Number:
        """The share k of the potential that leaks in one step; 0 for IF."""
        if self.leak is None:
            return 0.0
        return 1 / self.leak if self.divides else self.leak

    @property
    def rest(self) -> Number | None:
        """V_r where it is not 0."""
        return self.reset if isinstance(self.reset, Tensor) else self.reset or None


def charge_and_fire(
    x: Iterable[Tensor],
    v: Tensor,
    dynamics: Dynamics,
    *,
    spikes: Iterable[Tensor],
    charged: Iterable[Tensor],
) -> None:
    """Run one block through time; the sequences hold `[n]` per step.

    Args:
        x: input.
        v: `[n]`, V_0; becomes V_T.
        dynamics: of the neuron.
        spikes: written.
        charged: written with H; or one `[n]` that serves every step as scratch.
    """
    for current, spike, h in zip(x, spikes, cycle(charged), strict=False):
        _charge(current, v, h, dynamics)
        torch.ge(h, dynamics.threshold, out=spike)
        reset_to(v, h, spike, dynamics)


def at_charge(
    h: Tensor, at_spikes: Tensor, dynamics: Dynamics, *, out: Tensor, scratch: Sequence[Tensor]
) -> Tensor | None:
    """Write what depends on one step alone, g dS, elementwise.

    Args:
        h: charged potentials, any shape.
        at_spikes: gradient at the spikes.
        dynamics: of the neuron.
        out: written with g dS.
        scratch: two in the shape of `h`.

    Returns:
        M, in the second of `scratch`; None stands for ones.
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
    """Turn g dS into G by adding what flows back from later steps.

    Args:
        rows: `[n]` per step, g dS; become G.
        factors: `[n]` per step, M; None stands for ones.
        at_last: gradient at V_T, `[n]`, if it was used.
        dynamics: of the neuron.
    """
    if at_last is not None:
        _add(rows[-1], at_last, factors[-1] if factors else None, 1.0)
    for t in range(len(rows) - 2, -1, -1):
        _add(rows[t], rows[t + 1], factors[t] if factors else None, 1 - dynamics.rate)


def leak_factor(dynamics: Dynamics) -> Number:
    """Return what the sum of all `leak_term` is to be multiplied by."""
    k = dynamics.rate
    return 1 - k if dynamics.decay_input else -k * (1 - k)


def leak_term(g: Tensor, h: Tensor, previous: Tensor, dynamics: Dynamics) -> Tensor:
    """Overwrite `previous` by what one step adds to the gradient at w of a PLIF; return it.

    Args:
        g: G, any shape.
        h: charged potentials.
        previous: V before the step.
        dynamics: of the neuron.
    """
    if dynamics.decay_input:  # X - (V - V_r) is (H - V) / k
        torch.sub(h, previous, out=previous)
    elif dynamics.rest is not None:
        previous.sub_(dynamics.rest)
    return previous.mul_(g)


def scaled(g: Tensor, dynamics: Dynamics, *, out: Tensor) -> None:
    """Write the gradient at the input, which is k G or G, to `out`; it may be `g` itself."""
    if dynamics.decay_input:
        torch.mul(g, dynamics.rate, out=out)
    elif out is not g:
        out.copy_(g)


def reset_to(v: Tensor, h: Tensor, spikes: Tensor, dynamics: Dynamics) -> None:
    """Write V after reset to `v`, elementwise."""
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
    """Write M to `out`; return whether it is not all ones."""
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


def _plus(total: Tensor, term: Tensor, share: Number, *, out: Tensor) -> None:
    """Write `total` plus `share` times `term` to `out`."""
    if isinstance(share, Tensor):
        torch.addcmul(total, term, share, out=out)
    else:
        torch.add(total, term, alpha=share, out=out)


def _add(total: Tensor, term: Tensor, factor: Tensor | None, share: Number) -> None:
    if factor is None:
        _plus(total, term, share, out=total)
    elif isinstance(share, Tensor):
        total.addcmul_(term * share, factor)
    else:
        total.addcmul_(term, factor, value=share)


def first_derivatives_only() -> None:
    """Call it first in a backward that has no derivative itself.

    Raises:
        ModelError: with `create_graph=True`.
    """
    if torch.is_grad_enabled():
        raise ModelError(
            "expected only first derivatives through fused neurons, got a backward with "
            "create_graph=True; run unfuse(model) before a method that differentiates twice"
        )
