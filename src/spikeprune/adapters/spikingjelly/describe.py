"""What a SpikingJelly neuron computes, as constants; or why that cannot be said."""

import functools
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch

from spikeprune.neurons.lif import Dynamics
from spikeprune.neurons.surrogate_slopes import CLOSED_FORMS, Slope, autograd_slope

_SURROGATES = "spikingjelly.activation_based.surrogate."
_CLOSED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        f"{_SURROGATES}Sigmoid": ("sigmoid", "alpha"),
        f"{_SURROGATES}ATan": ("atan", "alpha"),
        f"{_SURROGATES}PiecewiseQuadratic": ("piecewise-quadratic", "alpha"),
        f"{_SURROGATES}PiecewiseExp": ("piecewise-exp", "alpha"),
        f"{_SURROGATES}SoftSign": ("soft-sign", "alpha"),
        f"{_SURROGATES}SuperSpike": ("super-spike", "alpha"),
        f"{_SURROGATES}Erf": ("erf", "alpha"),
        "spikeprune.zoo.neurons.TanhSurrogate": ("tanh", "temperature"),
    }
)
"""Class of the surrogate -> family in `CLOSED_FORMS`, name of its parameter."""

_BY_AUTOGRAD = frozenset(
    _SURROGATES + name
    for name in (
        "NonzeroSignLogAbs",
        "PiecewiseLeakyReLU",
        "SquarewaveFourierSeries",
        "S2NN",
        "QPseudoSpike",
        "LeakyKReLU",
        "FakeNumericalGradient",
        "LogTailedReLU",
        "DeterministicPass",
        "Rect",
    )
)
"""Elementwise, deterministic and a Heaviside step forward, so that their own backward is exact."""


def describe(module: Any, plain: type) -> Dynamics | str:
    """Return the constants of a neuron as it is now.

    Args:
        module: any module.
        plain: its class, or the one that it had before it was fused.

    Returns:
        The constants, or the reason why it has no fused form.
    """
    if plain not in _kinds():
        family = next((kind for kind in _kinds() if issubclass(plain, kind)), None)
        if family is None:
            return f"{plain.__name__} has no fused form; IFNode, LIFNode and ParametricLIFNode have"
        return f"{plain.__name__} is derived from {family.__name__} and may compute something else"
    slope = _slope(module.surrogate_function)
    obstacle = slope if isinstance(slope, str) else _obstacle(module)
    if obstacle is not None or isinstance(slope, str):
        return str(obstacle)
    leak, divides = _leak(module)
    return Dynamics(
        threshold=float(module.v_threshold),
        reset=None if module.v_reset is None else float(module.v_reset),
        leak=leak,
        divides=divides,
        decay_input=bool(getattr(module, "decay_input", False)),
        detach_reset=bool(module.detach_reset),
        slope=slope,
    )


@functools.cache
def _kinds() -> tuple[type, ...]:
    from spikingjelly.activation_based import neuron

    return neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode


def _obstacle(node: Any) -> str | None:
    """Return why a neuron of a known class, with a known surrogate, is not a plain one."""
    tau, w = getattr(node, "tau", 2.0), getattr(node, "w", None)
    known_w = w is None or (w.ndim == 0 and w.dtype in (torch.float32, torch.float64))
    checks = {
        "its forward was replaced on the object": not (
            {"forward", "multi_step_forward"} & vars(node).keys()
        ),
        "it stores its potentials (store_v_seq)": not node.store_v_seq,
        "it has a precision of its own": getattr(node, "_neuron_precision", None) is None,
        f"its v_threshold is {node.v_threshold!r}, not a finite number": _finite(node.v_threshold),
        f"its v_reset is {node.v_reset!r}, not a finite number": node.v_reset is None
        or _finite(node.v_reset),
        f"its tau is {tau!r}, not a finite number above 1": _finite(tau) and tau > 1,
        "its w is not one float32 or float64 number": known_w and not (w is not None and w.is_meta),
    }
    return next((reason for reason, holds in checks.items() if not holds), None)


def _leak(node: Any) -> tuple[float | None, bool]:
    if hasattr(node, "w"):
        return node.w.detach().sigmoid().item(), False
    if not hasattr(node, "tau"):
        return None, False
    exact = math.frexp(node.tau)[0] == 0.5  # a power of two: 1 / tau has no rounding error
    return (1 / node.tau, False) if exact else (float(node.tau), True)


def closed_slope(surrogate: Any) -> Slope | None:
    """Return the derivative of a surrogate in closed form, if there is one."""
    slope = _slope(surrogate) if _kind(surrogate) in _CLOSED else None
    return slope if isinstance(slope, Slope) else None


def _kind(surrogate: Any) -> str:
    return f"{type(surrogate).__module__}.{type(surrogate).__qualname__}"


def _slope(surrogate: Any) -> Slope | str:
    kind = _kind(surrogate)
    name = type(surrogate).__name__
    if kind not in _CLOSED and kind not in _BY_AUTOGRAD:
        return f"its surrogate {name} is not one whose derivative is known to be exact"
    if not surrogate.spiking:
        return f"its surrogate {name} gives its smooth value (spiking=False)"
    if surrogate._forward_hooks or surrogate._forward_pre_hooks:
        return f"its surrogate {name} has hooks"
    values = surrogate._sg_params
    if not all(map(_finite, values.values())):
        return f"its surrogate {name} has parameters that are not finite numbers: {values}"
    if kind in _BY_AUTOGRAD:
        return autograd_slope(surrogate)
    family, parameter = _CLOSED[kind]
    if not values[parameter] > 0:
        return f"its surrogate {name} has {parameter}={values[parameter]!r}, not above 0"
    return CLOSED_FORMS[family](float(values[parameter]))


def _finite(value: object) -> bool:
    return isinstance(value, float | int) and math.isfinite(value)
