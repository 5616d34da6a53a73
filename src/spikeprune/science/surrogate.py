"""Curves: how close a membrane potential is to the threshold.

A curve is the derivative `g(x)` of a surrogate spike function at `x = H - V_th` (a neuron fires
at `x >= 0`), scaled to `g(0) = 1` so that layers with different surrogates compare; or, as an
option, the surrogate's own forward value (the *primitive*), which lies in [0, 1].
"""

import functools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from spikeprune.errors import ConfigError, require_one_of

Curve = Callable[[Tensor], Tensor]

VALUES = ("derivative", "primitive")


class Family(NamedTuple):
    """A surrogate: its derivative scaled to 1 at 0, and its forward value in [0, 1]."""

    derivative: Curve
    primitive: Curve


def _sigmoid_derivative(x: Tensor) -> Tensor:
    s = (4 * x).sigmoid_()
    return s.addcmul_(s, s, value=-1).mul_(4)


def _triangle_primitive(x: Tensor) -> Tensor:
    inside = x.clamp(-1, 1)
    return (1 + inside * (2 - inside.abs())) / 2


CURVES: Mapping[str, Family] = MappingProxyType(
    {
        "atan": Family(
            derivative=lambda x: (math.pi * x).square_().add_(1).reciprocal_(),
            primitive=lambda x: torch.atan(math.pi * x) / math.pi + 0.5,
        ),
        "sigmoid": Family(_sigmoid_derivative, primitive=lambda x: torch.sigmoid(4 * x)),
        "tanh": Family(
            derivative=lambda x: (3 * x).tanh_().square_().neg_().add_(1),
            primitive=lambda x: (1 + torch.tanh(3 * x)) / 2,
        ),
        "triangle": Family(
            lambda x: x.abs().neg_().add_(1).clamp_min_(0), primitive=_triangle_primitive
        ),
    }
)


def named_curve(name: str, value: str = "derivative") -> Curve:
    """Return a curve of a fixed family, from a tensor to a new tensor of the same shape and dtype.

    Derivatives: `atan` 1 / (1 + (pi x)^2); `sigmoid` 4 s(4x)(1 - s(4x)); `tanh` 1 - tanh(3x)^2;
    `triangle` max(0, 1 - |x|). Primitives are the integrals from minus infinity, divided by the
    integral over all `x`: they rise from 0 to 1 and are 1/2 at threshold. Valid for any real `x`.

    Raises:
        ConfigError: The name is not in `CURVES`, or the value not in `VALUES`.

    Source: method, sections 1 and 2; `atan` is SpikingJelly's ATan (alpha 2), `sigmoid` its
    Sigmoid (alpha 4), `tanh` the family of the paper's released weight-pruning script.
    """
    require_one_of("curve", name, CURVES)
    require_one_of("curve value", value, VALUES)
    return CURVES[name].derivative if value == "derivative" else CURVES[name].primitive


def _derivative(surrogate: Curve, x: Tensor) -> Tensor:
    # Autograd cannot use tensors made in inference mode, hence the clone outside of it.
    with torch.inference_mode(False), torch.enable_grad():
        leaf = (x.clone() if x.is_inference() else x.detach()).requires_grad_()
        spikes = surrogate(leaf)
        if not spikes.requires_grad:
            raise ConfigError(
                "the model's surrogate must have a gradient, but autograd found none; "
                f"choose a fixed curve: {', '.join(CURVES)}"
            )
        (gradient,) = torch.autograd.grad(spikes.sum(), leaf)
    return gradient


def model_curve(surrogate: Curve, value: str = "derivative") -> Curve:
    """Return the curve of a model's own surrogate, a function of a tensor to a new, detached one.

    It is also valid under `torch.no_grad()` and `torch.inference_mode()`.

    Args:
        surrogate: For `derivative`: the function from `x = H - V_th` to spikes that carries the
            surrogate gradient; autograd takes its derivative, which is divided by that at 0.
            For `primitive`: the smooth forward value itself.
        value: `derivative` or `primitive`.

    Raises:
        ConfigError: The value is unknown; the primitive leaves [0, 1] (its values become scores);
            or, when called, the surrogate has no gradient.

    Source: method, section 2, option `curve = model`.
    """
    require_one_of("curve value", value, VALUES)
    if value == "derivative":
        return lambda x: _derivative(surrogate, x) / _derivative(surrogate, x.new_zeros(1))

    @torch.no_grad()
    def primitive(x: Tensor) -> Tensor:
        return surrogate(x)

    values = primitive(_grid())
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise ConfigError(
            "the forward value of the model's surrogate must lie in [0, 1] to serve as a score, "
            f"but it spans [{float(values.min()):.4g}, {float(values.max()):.4g}]; "
            "use value='derivative' or a fixed curve"
        )
    return primitive


@functools.lru_cache(maxsize=256)
def closed_curve(derivative: Curve) -> Curve:
    """Return a surrogate's derivative in closed form, of any scale, divided by its value at 0.

    Much quicker than `model_curve`, which runs autograd, and equal to it up to rounding. One
    function gives one and the same object. The derivative must return a new tensor.

    Source: method, section 2, option `curve = model`.
    """
    scale = 1 / float(derivative(torch.zeros(1, dtype=torch.float64)))

    @torch.no_grad()
    def curve(x: Tensor) -> Tensor:
        return derivative(x).mul_(scale)

    return curve


def _grid() -> Tensor:
    half = torch.logspace(-3, 2, 500)
    return torch.cat([-half, torch.zeros(1), half])


def check_peaked(curve: Curve) -> None:
    """Refuse a derivative curve that is not peaked at the threshold.

    Peaked means, on a grid of 1001 points in [-100, 100]: finite, `0 <= g(x) <= g(0)`, and not
    constant on either side (by a step, as of a leaky ReLU, every neuron far above threshold would
    be critical). Not for primitives, which rise monotonically.

    Raises:
        ConfigError: The curve is not peaked.

    Source: method, section 1.
    """
    grid = _grid()
    values = curve(grid)
    peak = curve(torch.zeros(1))
    slack = 1e-5 * peak.abs()  # rounding must not refuse a flat top
    if not bool(values.isfinite().all() and peak.isfinite().all()):
        fault = "is not finite everywhere (a slope of 0 at threshold gives this too)"
    elif bool((values < 0).any()):
        fault = f"is negative at x = {float(grid[values.argmin()]):.4g}"
    elif bool((values > peak + slack).any()):
        fault = f"is larger at x = {float(grid[values.argmax()]):.4g} than at 0"
    elif any(bool((values[side] >= peak - slack).all()) for side in (grid < 0, grid > 0)):
        fault = "does not fall on both sides of it"
    else:
        return
    raise ConfigError(
        f"a criticality curve must be peaked at threshold, but this one {fault}; "
        f"choose a fixed curve: {', '.join(CURVES)}"
    )
