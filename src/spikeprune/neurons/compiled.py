"""The compiled body of a fused neuron: its backward computes the potentials again from the input.

Only the input and V_0 are kept. The input is there anyway, as the output of the layer before, so
a neuron keeps next to nothing of its own.
"""

import functools
import warnings
from typing import Any, final

import torch
from torch import Tensor

from spikeprune.errors import ModelError
from spikeprune.neurons.blocks import Frame
from spikeprune.neurons.kernels import Backward, Form, Forward, constants, form, kernel, obstacle
from spikeprune.neurons.lif import Dynamics, first_derivatives_only, leak_factor
from spikeprune.neurons.sinks import FoldingSink, Sink, TimeFold
from spikeprune.neurons.surrogate_slopes import Slope

MAX_STEPS = 32
"""Longest sequence with a compiled body: the steps are unrolled, and compiling takes as long."""

_NO_SLOPE = Slope(torch.Tensor.zero_)  # forward kernels are shared by all surrogates


def serves(x: Tensor, dynamics: Dynamics) -> bool:
    """Whether the compiled body can run on an input `[T, B, *]`; the first call tries to compile.

    Not in float64, for more than `MAX_STEPS` steps, for a surrogate without a closed form, for a
    single neuron, and where nothing can be compiled; the latter is said once.
    """
    return (
        dynamics.slope.closed
        and x.dtype != torch.float64
        and len(x) <= MAX_STEPS
        and x.numel() > len(x)
        and _compiler()
    )


@final
class Compiled(torch.autograd.Function):
    """One neuron over all time steps; inputs and outputs as `multistep.run`."""

    @staticmethod
    def infer(
        x: Tensor, state: Tensor | float, dynamics: Dynamics, sinks: tuple[Sink, ...]
    ) -> tuple[Tensor, Tensor]:
        """Run forward and keep nothing."""
        frame = Frame.of(x)
        return _forward(frame, (_inputs(frame, x), _first(frame, state)), dynamics, sinks)

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        state: Tensor | float,
        weight: Tensor | None,
        dynamics: Dynamics,
        sinks: tuple[Sink, ...],
    ) -> tuple[Tensor, Tensor]:
        """Run forward and keep input and V_0."""
        frame = Frame.of(x)
        inputs, first = _inputs(frame, x), _first(frame, state)
        ctx.dynamics, ctx.frame = dynamics, frame
        ctx.weight_dtype = None if weight is None else weight.dtype
        ctx.save_for_backward(inputs, first)
        ctx.set_materialize_grads(False)
        return _forward(frame, (inputs, first), dynamics, sinks)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients at input, V_0 and w."""
        first_derivatives_only()
        if all(gradient is None for gradient in gradients):
            return (None,) * 5
        return (*_backward(ctx, *gradients), None, None)


def _forward(
    frame: Frame, inputs: tuple[Tensor, Tensor], dynamics: Dynamics, sinks: tuple[Sink, ...]
) -> tuple[Tensor, Tensor]:
    any_gradient = dynamics._replace(slope=_NO_SLOPE, detach_reset=True)
    form, fold = _form(frame, inputs, any_gradient), _fold(sinks, frame.shape[0])
    folded = None if fold is None else (fold.curve, fold.time)
    kind = Forward(form, observed=bool(sinks) and fold is None, folded=folded)
    spikes, last, *seen = kernel(kind)(*inputs, constants(dynamics))
    if fold is not None:
        fold.take(*map(frame.step, seen))
    elif sinks:
        potentials = frame.sequence(*seen)
        for sink in sinks:
            sink(potentials)
    return frame.sequence(spikes), frame.step(last)


def _fold(sinks: tuple[Sink, ...], steps: int) -> TimeFold | None:
    """Return what the potentials can be folded into: where one sink alone is told."""
    if len(sinks) == 1 and isinstance(sinks[0], FoldingSink):
        return sinks[0].fold(steps)
    return None


def _backward(
    ctx: Any, at_spikes: Tensor | None, at_last: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    frame, dynamics, inputs = ctx.frame, ctx.dynamics, _saved(ctx)
    if at_spikes is None:
        at_spikes = inputs[0].new_zeros(()).expand(frame.shape)
    passed = [frame.matrix(at_spikes).contiguous()]
    if at_last is not None:
        passed.append(frame.row(at_last).contiguous())
    _, state, weight = ctx.needs_input_grad[:3]
    kind = Backward(_form(frame, inputs, dynamics), at_last is not None, state, weight)
    at_input, *others = kernel(kind)(*inputs, constants(dynamics), *passed)
    at_state = frame.step(others[0]) if state else None
    at_weight = None
    if weight:
        total = others[-1].sum(dtype=torch.float64) * leak_factor(dynamics)
        at_weight = total.to(ctx.weight_dtype)
    return frame.sequence(at_input), at_state, at_weight


def _form(frame: Frame, inputs: tuple[Tensor, ...], dynamics: Dynamics) -> Form:
    x, first = inputs
    steps = frame.shape[0]
    return Form(steps, x.dtype, len(x) < steps, len(first) > 1, form(dynamics))


def _inputs(frame: Frame, x: Tensor) -> Tensor:
    """Return `[T, N]`, or `[1, N]` where the input is the same in every step; contiguous."""
    flat = frame.matrix(x)
    return (flat[:1] if flat.stride(0) == 0 else flat).contiguous()


def _first(frame: Frame, state: Tensor | float) -> Tensor:
    """Return V_0, `[N]` or `[1]`."""
    return frame.row(state).contiguous() if isinstance(state, Tensor) else _constant(state)


@functools.lru_cache(maxsize=64)
def _constant(value: float) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor([value], dtype=torch.float32)


def _saved(ctx: Any) -> tuple[Tensor, Tensor]:
    try:
        saved: tuple[Tensor, Tensor] = ctx.saved_tensors
    except RuntimeError as error:
        if "inplace" not in str(error):
            raise
        raise ModelError(
            "expected the input of a fused neuron as it was in the forward, but it was changed in "
            "place before the backward, which computes the potentials from it again; change the "
            "model, or take the body that keeps them: fuse(model, compiled=False)"
        ) from error
    return saved


@functools.cache
def _compiler() -> bool:
    reason = obstacle()
    if reason is not None:
        warnings.warn(f"fused neurons are not compiled: {reason}", stacklevel=2)
    return reason is None
