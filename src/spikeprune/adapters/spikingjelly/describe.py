"""Constants of a SpikingJelly neuron for its fused form, or the reason why it has none.

A surrogate class other than SpikingJelly's can be fused, too, if a class attribute names its closed
form: `closed_form = ("tanh", "temperature")` is a family of `neurons.surrogate_slopes.CLOSED_FORMS`
and the attribute of an instance that holds the family's parameter. Forward it must be the step
u >= 0. Subclasses do not inherit the claim, because they may compute something else.
"""

import functools
import math
from typing import Any

import torch

from spikeprune.adapters.base import Refusal
from spikeprune.errors import unknown_name
from spikeprune.neurons.lif import Dynamics
from spikeprune.neurons.surrogate_slopes import CLOSED_FORMS, Slope, autograd_slope
from spikeprune.science.low_pass import LowPass

_SURROGATES = "spikingjelly.activation_based.surrogate"
_CLOSED = {  # SpikingJelly's class -> family; the parameter is `alpha` in all of them
    "Sigmoid": "sigmoid",
    "ATan": "atan",
    "PiecewiseQuadratic": "piecewise-quadratic",
    "PiecewiseExp": "piecewise-exp",
    "SoftSign": "soft-sign",
    "SuperSpike": "super-spike",
    "Erf": "erf",
}
# Elementwise, deterministic and a Heaviside step forward, so that their own backward is exact.
_BY_AUTOGRAD = (
    "NonzeroSignLogAbs", "PiecewiseLeakyReLU", "SquarewaveFourierSeries", "S2NN", "QPseudoSpike",
    "LeakyKReLU", "FakeNumericalGradient", "LogTailedReLU", "DeterministicPass", "Rect",
)  # fmt: skip


def describe(module: Any, plain: type) -> Dynamics:
    """Return the current constants of a neuron, or raise a Refusal if it has no fused form.

    `plain` is its class, or the class that it had before it was fused.
    """
    if plain not in _kinds():
        family = next((kind for kind in _kinds() if issubclass(plain, kind)), None)
        if family is None:
            raise Refusal(
                f"{plain.__name__} has no fused form; IFNode, LIFNode and ParametricLIFNode have"
            )
        raise Refusal(
            f"{plain.__name__} is derived from {family.__name__} and may compute something else"
        )
    slope = _slope(module.surrogate_function)
    _refuse_special(module)
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


def closed_slope(surrogate: Any) -> Slope | None:
    """Return the derivative of a surrogate in closed form, or None if there is none."""
    try:
        slope = _slope(surrogate)
    except Refusal:
        return None
    return slope if slope.closed else None


def low_pass(module: Any, plain: type) -> LowPass | None:
    """Return the filter of a neuron's input, None of a class that may compute something else.

    `plain` is as in `describe`.
    """
    if plain not in _kinds():
        return None
    leak, divides = _leak(module)
    if leak is None:
        return LowPass(1.0)
    rate = 1 / leak if divides else leak
    return LowPass(1 - rate, rate if module.decay_input else 1.0)


@functools.cache
def _kinds() -> tuple[type, ...]:
    from spikingjelly.activation_based import neuron

    return neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode


def _refuse_special(node: Any) -> None:
    """Refuse a neuron of a known class that does not compute what its class does."""
    if vars(node).keys() & {"forward", "multi_step_forward"}:
        raise Refusal("its forward was replaced on the object")
    if node.store_v_seq:
        raise Refusal("it stores its potentials (store_v_seq)")
    if getattr(node, "_neuron_precision", None) is not None:
        raise Refusal("it has a precision of its own")
    if not _finite(node.v_threshold):
        raise Refusal(f"its v_threshold is {node.v_threshold!r}, not a finite number")
    if node.v_reset is not None and not _finite(node.v_reset):
        raise Refusal(f"its v_reset is {node.v_reset!r}, not a finite number")
    tau, w = getattr(node, "tau", 2.0), getattr(node, "w", None)
    if not (_finite(tau) and tau > 1):
        raise Refusal(f"its tau is {tau!r}, not a finite number above 1")
    types = (torch.float32, torch.float64)
    if w is not None and (w.ndim != 0 or w.dtype not in types or w.is_meta):
        raise Refusal("its w is not one float32 or float64 number")


def _leak(node: Any) -> tuple[float | None, bool]:
    """Return `Dynamics.leak` and `Dynamics.divides`."""
    if hasattr(node, "w"):
        return node.w.detach().sigmoid().item(), False
    if not hasattr(node, "tau"):
        return None, False
    exact = math.frexp(node.tau)[0] == 0.5  # a power of two: 1 / tau has no rounding error
    return (1 / node.tau, False) if exact else (float(node.tau), True)


def _slope(surrogate: Any) -> Slope:
    """Return the derivative of a surrogate; raise a Refusal if it is not known to be exact."""
    kind: type = type(surrogate)
    name = kind.__name__
    closed = _closed_form(kind)
    if closed is None and not (kind.__module__ == _SURROGATES and name in _BY_AUTOGRAD):
        raise Refusal(f"its surrogate {name} is not one whose derivative is known to be exact")
    if not getattr(surrogate, "spiking", True):
        raise Refusal(f"its surrogate {name} gives its smooth value (spiking=False)")
    if getattr(surrogate, "_forward_hooks", None) or getattr(surrogate, "_forward_pre_hooks", None):
        raise Refusal(f"its surrogate {name} has hooks")
    values = dict(getattr(surrogate, "_sg_params", {}))
    if closed is not None:
        family, parameter = closed
        values[parameter] = getattr(surrogate, parameter, None)
    if not all(map(_finite, values.values())):
        raise Refusal(f"its surrogate {name} has parameters that are not finite numbers: {values}")
    if closed is None:
        return autograd_slope(surrogate)
    if not values[parameter] > 0:
        raise Refusal(f"its surrogate {name} has {parameter}={values[parameter]!r}, not above 0")
    return CLOSED_FORMS[family](float(values[parameter]))


@functools.cache
def _closed_form(kind: type) -> tuple[str, str] | None:
    """Return family and parameter of a surrogate class, or None if it has no closed form."""
    if kind.__module__ == _SURROGATES:
        family = _CLOSED.get(kind.__name__)
        return None if family is None else (family, "alpha")
    claim: tuple[str, str] | None = vars(kind).get("closed_form")
    if claim is not None and claim[0] not in CLOSED_FORMS:
        raise unknown_name("closed form", claim[0], CLOSED_FORMS)
    return claim


def _finite(value: object) -> bool:
    return isinstance(value, float | int) and math.isfinite(value)
