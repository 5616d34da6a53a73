"""Spiking neurons of the zoo, by kind and reset or by the preset of a paper."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast, final

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from spikeprune.errors import ConfigError, require_one_of

KINDS = ("if", "lif", "plif")
RESETS = ("hard", "soft")


class _TanhSpike(torch.autograd.Function):
    """Heaviside forward, 1.5 (1 - tanh(3 u)^2)-shaped gradient backward."""

    @staticmethod
    def forward(x: Tensor, temperature: float) -> Tensor:
        return (x >= 0).to(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        x, temperature = inputs
        ctx.save_for_backward(x)
        ctx.temperature = temperature

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        slope = 1 - torch.tanh(ctx.temperature * x).square()
        return 0.5 * ctx.temperature * slope * grad_outputs[0], None


@final
class TanhSurrogate(surrogate.SurrogateFunctionBase):  # type: ignore[misc]
    """Surrogate with primitive `0.5 (tanh(k u) + 1)` for `u = H - V_th` and the temperature k > 0.

    Its derivative `0.5 k (1 - tanh(k u)^2)` peaks at threshold. The released weight-pruning script
    clamps the potential to [0, 1] (|u| <= 0.5) before the tanh, so that neurons further from
    threshold get no gradient. Here nothing is clamped: the tail beyond 0.5 (at most 18 % of the
    peak for k = 3) stays, and the primitive is the exact integral of the derivative. Without
    `spiking` it emits the primitive.
    """

    closed_form = ("tanh", "temperature")
    """Family of `neurons.surrogate_slopes.CLOSED_FORMS`, and the attribute of its parameter."""

    def __init__(self, temperature: float = 3.0, spiking: bool = True) -> None:
        super().__init__(spiking=spiking, temperature=temperature)

    @staticmethod
    def spiking_function(x: Tensor, temperature: float) -> Tensor:
        """Return spikes `x >= 0` that carry the surrogate gradient."""
        return cast(Tensor, _TanhSpike.apply(x, temperature))  # type: ignore[no-untyped-call]

    @staticmethod
    def primitive_function(x: Tensor, temperature: float) -> Tensor:
        """Return the smooth forward value in [0, 1]."""
        return 0.5 * (torch.tanh(temperature * x) + 1)


@dataclass(frozen=True)
class NeuronSetting:
    """Constants of a neuron."""

    kind: str = "lif"  # 'if', 'lif' or 'plif' (learnable time constant, starting at `tau`)
    reset: str = "hard"  # 'hard' (to 0) or 'soft' (threshold subtracted)
    tau: float = 4 / 3  # membrane time constant in steps; the potential keeps 1 - 1/tau of itself
    decay_input: bool = True  # whether the input is scaled by 1/tau as well
    threshold: float = 1.0  # V_th
    surrogate: str = "atan"  # 'atan' (alpha 2) or 'tanh' (temperature 3)


PRESETS = {
    "paper-weight": NeuronSetting(decay_input=False, threshold=0.5, surrogate="tanh"),
    "paper-channel": NeuronSetting(),
}
"""The neurons of the paper's weight and channel pruning (method, sections 3 and 4). Both keep a
quarter of their potential; `paper-weight` adds the input, `paper-channel` 3/4 of it."""


def neuron_factory(
    kind: str = "lif", reset: str = "hard", preset: str | None = None
) -> Callable[[], nn.Module]:
    """Return a function that makes one new neuron per call.

    No gradient flows through the reset (`detach_reset`). A name in `PRESETS` fixes every constant;
    None takes those of 'paper-channel'.
    """
    setting = _setting(kind, reset, preset)
    tau, decay_input = setting.tau, setting.decay_input
    nodes: dict[str, Callable[..., nn.Module]] = {
        "if": neuron.IFNode,
        "lif": partial(neuron.LIFNode, tau=tau, decay_input=decay_input),
        "plif": partial(neuron.ParametricLIFNode, init_tau=tau, decay_input=decay_input),
    }

    def make() -> nn.Module:
        # A surrogate of its own: SpikingJelly's default shares one instance.
        tanh = setting.surrogate == "tanh"
        return nodes[setting.kind](
            v_threshold=setting.threshold,
            v_reset=0.0 if setting.reset == "hard" else None,
            surrogate_function=TanhSurrogate(3.0) if tanh else surrogate.ATan(alpha=2.0),
            detach_reset=True,
        )

    return make


def _setting(kind: str, reset: str, preset: str | None) -> NeuronSetting:
    require_one_of("neuron", kind, KINDS)
    require_one_of("reset", reset, RESETS)
    if preset is None:
        return NeuronSetting(kind=kind, reset=reset)
    require_one_of("neuron preset", preset, PRESETS)
    setting = PRESETS[preset]
    if (kind, reset) != (setting.kind, setting.reset):
        raise ConfigError(
            f"preset {preset!r} is a {setting.kind!r} neuron with {setting.reset!r} reset, "
            f"but {kind!r} with {reset!r} reset was asked for; drop one of the two"
        )
    return setting
