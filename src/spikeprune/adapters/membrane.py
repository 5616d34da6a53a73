"""IF, LIF and PLIF over many time steps at once: one forward, one backward written by hand.

With the input X_t, the potential H_t before and V_t after reset, and the spike S_t:

    IF     H_t = V_{t-1} + X_t
    LIF    H_t = V_{t-1} + k (X_t - (V_{t-1} - V_r))    or, where the input does not decay,
           H_t = V_{t-1} - k (V_{t-1} - V_r) + X_t      k = 1 / tau; PLIF: k = sigmoid(w)
    S_t = 1 where H_t >= V_th, else 0
    V_t = V_r S_t + (1 - S_t) H_t (hard reset)    or    H_t - V_th S_t (soft reset; V_r = 0)

The operations and their order are those of SpikingJelly's reference path, so in float32 the spikes
are the same bit for bit. Only H is kept for the backward. There, with G_t the gradient at H_t, g_t
the slope of the surrogate at H_t - V_th, and L = dH_t / dV_{t-1} (1 for IF, otherwise 1 - k):

    G_t = g_t dS_t + L M_t G_{t+1}
    M_t = dV_t / dH_t = 1 - S_t (hard) or 1 (soft); unless the reset is detached, plus
                        (V_r - H_t) g_t (hard) or - V_th g_t (soft)
    dX_t = k G_t, or G_t where the input does not decay (IF too);    dV_0 = L G_1
    dw = (1 - k) sum_t G_t (H_t - V_{t-1}), or - k (1 - k) sum_t G_t (V_{t-1} - V_r)
"""

from typing import NamedTuple

import torch
from torch import Tensor

from spikeprune.adapters.slopes import Slope

__all__ = ["Dynamics", "Passed", "adjoint", "charge_and_fire", "leak_gradient", "scaled"]


class Dynamics(NamedTuple):
    """What one neuron computes; the formulas are in the module's docstring.

    Attributes:
        threshold: V_th.
        reset: V_r of a hard reset; None is a soft reset.
        leak: k or tau; None for IF.
        divides: whether `leak` is tau. SpikingJelly's LIF divides by tau, and so must this, for the
            product with 1 / tau differs in the last bit, unless tau is a power of two.
        decay_input: whether k scales the input too.
        detach_reset: whether no gradient flows through the reset.
        slope: derivative of the surrogate.
    """

    threshold: float
    reset: float | None
    leak: float | None
    divides: bool
    decay_input: bool
    detach_reset: bool
    slope: Slope

    @property
    def rate(self) -> float:
        """The share k of the potential that leaks in one step; 0 for IF."""
        if self.leak is None:
            return 0.0
        return 1 / self.leak if self.divides else self.leak


class Passed(NamedTuple):
    """Gradients that come in, for one block: spikes `[T, n]`, and V_T `[n]` if it was used."""

    spikes: Tensor
    last: Tensor | None


def charge_and_fire(
    x: Tensor, v: Tensor, dynamics: Dynamics, *, spikes: Tensor, charged: Tensor
) -> None:
    """Run one block through time.

    Args:
        x: `[T, n]`.
        v: `[n]`, V_0; becomes V_T.
        dynamics: of the neuron.
        spikes: `[T, n]`, written.
        charged: `[T, n]`, written with H; or `[1, n]`, used as scratch.
    """
    kept = charged.unbind(0)
    rows = kept if len(kept) == len(x) else kept * len(x)
    for current, spike, h in zip(x.unbind(0), spikes.unbind(0), rows, strict=True):
        _charge(current, v, h, dynamics)
        torch.ge(h, dynamics.threshold, out=spike)
        _reset(h, spike, v, dynamics)


def adjoint(h: Tensor, passed: Passed, dynamics: Dynamics, *, out: Tensor, scratch: Tensor) -> None:
    """Run one block back through time.

    Args:
        h: `[T, n]`, the charged potentials.
        passed: gradients that come in.
        dynamics: of the neuron.
        out: `[T, n]`, written with G.
        scratch: `[2, T, n]`.
    """
    slope, factor = scratch.unbind(0)
    torch.sub(h, dynamics.threshold, out=slope)
    dynamics.slope.apply_(slope)
    inverse = dynamics.slope.inverse
    if inverse and not dynamics.detach_reset:
        slope.reciprocal_()
        inverse = False
    (torch.div if inverse else torch.mul)(passed.spikes, slope, out=out)
    factors = _through_reset(h, slope, factor, dynamics)
    rows = out.unbind(0)
    if passed.last is not None:
        _add(rows[-1], passed.last, factors[-1] if factors else None, 1.0)
    for t in range(len(rows) - 2, -1, -1):
        _add(rows[t], rows[t + 1], factors[t] if factors else None, 1 - dynamics.rate)


def leak_gradient(
    g: Tensor, h: Tensor, first: Tensor | float, dynamics: Dynamics, *, scratch: Tensor
) -> Tensor:
    """Return one block's share of the gradient at w of a PLIF, 0-dimensional, float64.

    Args:
        g: `[T, n]`, G from `adjoint`.
        h: `[T, n]`, the charged potentials.
        first: V_0, `[n]` or one number.
        dynamics: of the neuron.
        scratch: `[2, T, n]`.
    """
    previous, spikes = scratch.unbind(0)
    torch.ge(h[:-1], dynamics.threshold, out=spikes[:-1])
    _reset(h[:-1], spikes[:-1], previous[1:], dynamics)
    previous[0] = first
    k = dynamics.rate
    if dynamics.decay_input:  # X - (V - V_r) is (H - V) / k
        torch.sub(h, previous, out=previous)
        share = 1 - k
    else:
        previous.sub_(dynamics.reset or 0.0)
        share = -k * (1 - k)
    return previous.mul_(g).sum().double() * share


def scaled(g: Tensor, dynamics: Dynamics, *, out: Tensor) -> None:
    """Write the gradient at the input, which is k G or G, to `out`; it may be `g` itself."""
    if dynamics.decay_input:
        torch.mul(g, dynamics.rate, out=out)
    elif out is not g:
        out.copy_(g)


def _charge(x: Tensor, v: Tensor, h: Tensor, dynamics: Dynamics) -> None:
    rest = dynamics.reset or 0.0
    if dynamics.leak is None:
        torch.add(v, x, out=h)
        return
    above = torch.sub(v, rest, out=h) if rest else v
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


def _reset(h: Tensor, spikes: Tensor, v: Tensor, dynamics: Dynamics) -> None:
    if dynamics.reset is None:
        torch.sub(h, spikes, alpha=dynamics.threshold, out=v)
        return
    torch.addcmul(h, spikes, h, value=-1, out=v)
    if dynamics.reset:
        v.add_(spikes, alpha=dynamics.reset)


def _through_reset(
    h: Tensor, slope: Tensor, out: Tensor, dynamics: Dynamics
) -> tuple[Tensor, ...] | None:
    """Return M per step; None stands for ones."""
    reset = dynamics.reset
    if reset is None:
        if dynamics.detach_reset:
            return None
        torch.mul(slope, -dynamics.threshold, out=out).add_(1)
        return out.unbind(0)
    torch.lt(h, dynamics.threshold, out=out)
    if not dynamics.detach_reset:
        out.addcmul_(h, slope, value=-1)
        if reset:
            out.add_(slope, alpha=reset)
    return out.unbind(0)


def _add(total: Tensor, term: Tensor, factor: Tensor | None, share: float) -> None:
    if factor is None:
        total.add_(term, alpha=share)
    else:
        total.addcmul_(term, factor, value=share)
