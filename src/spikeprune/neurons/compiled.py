"""Compiled body of a fused neuron: its backward recomputes the potentials from the input.

It stores only the input and V_0. The input exists anyway, as the output of the previous layer, so
a neuron needs almost no memory of its own.
"""

import functools
import warnings
from typing import Any, final

import torch
from torch import Tensor

from spikeprune.errors import ModelError
from spikeprune.neurons import kernels, lif
from spikeprune.neurons.blocks import Frame
from spikeprune.neurons.lif import Dynamics
from spikeprune.neurons.sinks import FoldingSink, Sink, TimeFold
from spikeprune.neurons.surrogate_slopes import Slope

MAX_STEPS = 32
"""Longest sequence with a compiled body, whose steps are unrolled: compile time grows with them."""

_NO_SLOPE = Slope(torch.Tensor.zero_)  # forward kernels are shared by all surrogates


def serves(x: Tensor, dynamics: Dynamics) -> bool:
    """Whether the compiled body can run on an input `[T, B, *]`; the first call tries to compile.

    Without a working compiler, one warning is given.
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
        """Run the forward without storing anything."""
        frame = Frame.of(x)
        return _forward(frame, (_inputs(frame, x), _initial(frame, state)), dynamics, sinks)

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        state: Tensor | float,
        weight: Tensor | None,
        dynamics: Dynamics,
        sinks: tuple[Sink, ...],
    ) -> tuple[Tensor, Tensor]:
        """Run the forward and store input and V_0."""
        frame = Frame.of(x)
        inputs, initial = _inputs(frame, x), _initial(frame, state)
        ctx.dynamics, ctx.frame = dynamics, frame
        ctx.weight_dtype = None if weight is None else weight.dtype
        ctx.save_for_backward(inputs, initial)
        ctx.set_materialize_grads(False)
        return _forward(frame, (inputs, initial), dynamics, sinks)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients of the inputs: x, V_0 and w, and None for the others."""
        lif.first_derivatives_only()
        if all(gradient is None for gradient in gradients):
            return (None,) * 5
        return (*_backward(ctx, *gradients), None, None)


def _forward(
    frame: Frame, inputs: tuple[Tensor, Tensor], dynamics: Dynamics, sinks: tuple[Sink, ...]
) -> tuple[Tensor, Tensor]:
    any_gradient = dynamics._replace(slope=_NO_SLOPE, detach_reset=True)
    form, fold = _form(frame, inputs, any_gradient), _fold(sinks, frame.shape[0])
    folded = None if fold is None else (fold.curve, fold.time)
    kind = kernels.Forward(form, observed=bool(sinks) and fold is None, folded=folded)
    spikes, last, *seen = kernels.kernel(kind)(*inputs, kernels.constants(dynamics))
    if fold is not None:
        total, fired = seen
        fold.take(frame.step(total), frame.step(fired))
    elif sinks:
        potentials = frame.sequence(*seen)
        for sink in sinks:
            sink(potentials)
    return frame.sequence(spikes), frame.step(last)


def _fold(sinks: tuple[Sink, ...], steps: int) -> TimeFold | None:
    """Return the fold of the only sink, if it has one; several sinks take the potentials."""
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
    form = _form(frame, inputs, dynamics)
    kernel = kernels.kernel(kernels.Backward(form, at_last is not None, state, weight))
    at_input, *others = kernel(*inputs, kernels.constants(dynamics), *passed)
    at_state = frame.step(others[0]) if state else None
    at_weight = None
    if weight:
        total = others[-1].sum(dtype=torch.float64) * lif.leak_factor(dynamics)
        at_weight = total.to(ctx.weight_dtype)
    return frame.sequence(at_input), at_state, at_weight


def _form(frame: Frame, inputs: tuple[Tensor, ...], dynamics: Dynamics) -> kernels.Form:
    x, initial = inputs
    steps = frame.shape[0]
    form = kernels.without_constants(dynamics)
    return kernels.Form(steps, x.dtype, len(x) < steps, len(initial) > 1, form)


def _inputs(frame: Frame, x: Tensor) -> Tensor:
    """Return a contiguous `[T, N]`, or `[1, N]` if all steps are one expanded step."""
    flat = frame.matrix(x)
    return (flat[:1] if flat.stride(0) == 0 else flat).contiguous()


def _initial(frame: Frame, state: Tensor | float) -> Tensor:
    """Return V_0, `[N]` or `[1]`."""
    return frame.row(state).contiguous() if isinstance(state, Tensor) else kernels.vector(state)


def _saved(ctx: Any) -> tuple[Tensor, Tensor]:
    try:
        saved: tuple[Tensor, Tensor] = ctx.saved_tensors
    except RuntimeError as error:
        if "inplace" not in str(error):
            raise
        raise ModelError(
            "expected the input of a fused neuron unchanged since the forward, but it was changed "
            "in place before the backward, which recomputes the potentials from it; change the "
            "model, or use the body that stores them: fuse(model, compiled=False)"
        ) from error
    return saved


@functools.cache
def _compiler() -> bool:
    reason = kernels.obstacle()
    if reason is not None:
        warnings.warn(f"fused neurons are not compiled: {reason}", stacklevel=2)
    return reason is None
