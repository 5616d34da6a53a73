"""The equations of `membrane` as one operation of a neuron, with autograd."""

from collections.abc import Iterable
from typing import Any, cast, final

import torch
from torch import Tensor

from spikeprune.adapters.base import Sink
from spikeprune.adapters.blocks import Frame
from spikeprune.adapters.membrane import (
    Dynamics,
    Passed,
    adjoint,
    charge_and_fire,
    leak_gradient,
    scaled,
)
from spikeprune.errors import ModelError

__all__ = ["run"]


def run(
    x: Tensor,
    state: Tensor | float,
    dynamics: Dynamics,
    *,
    weight: Tensor | None = None,
    sinks: Iterable[Sink] = (),
) -> tuple[Tensor, Tensor]:
    """Run a neuron over all time steps of `x`.

    Args:
        x: input `[T, B, *]` in any memory format, floating, not empty.
        state: V_0 as `[B, *]` in the dtype of the potentials, or one number for all.
        dynamics: of the neuron.
        weight: w of a PLIF, 0-dimensional, for its gradient; its value is in `dynamics`.
        sinks: each takes H_t - V_th as `[1, B, *]` in every step.

    Returns:
        Spikes in the shape, dtype and memory format of `x`, and V_T. Potentials are float32, or
        float64 for such inputs. Gradients reach `x`, `state` and `weight`; where none is asked
        for, nothing is kept.

    Raises:
        ModelError: (in the backward) with `create_graph=True`, for want of a second derivative.
    """
    inputs = (x, state, weight)
    if torch.is_grad_enabled() and any(isinstance(i, Tensor) and i.requires_grad for i in inputs):
        apply = cast(Any, _MultiStep).apply
        return cast(tuple[Tensor, Tensor], apply(*inputs, dynamics, tuple(sinks)))
    with torch.no_grad():
        spikes, last, _ = _forward(x, state, dynamics, tuple(sinks), keep=False)
    return spikes, last


@final
class _MultiStep(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        state: Tensor | float,
        weight: Tensor | None,
        dynamics: Dynamics,
        sinks: tuple[Sink, ...],
    ) -> tuple[Tensor, Tensor]:
        spikes, last, charged = _forward(x, state, dynamics, sinks, keep=True)
        ctx.dynamics, ctx.frame, ctx.input_dtype = dynamics, Frame.of(x), x.dtype
        ctx.weight_dtype = None if weight is None else weight.dtype
        ctx.initial = 0.0 if isinstance(state, Tensor) else state
        # Only the gradient at w asks for V_0.
        first = state if isinstance(state, Tensor) and ctx.needs_input_grad[2] else None
        ctx.save_for_backward(charged, first)
        ctx.set_materialize_grads(False)
        return spikes, last

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise ModelError(
                "expected only first derivatives through fused neurons, got a backward with "
                "create_graph=True; run unfuse(model) before a method that differentiates twice"
            )
        if all(gradient is None for gradient in gradients):
            return (None,) * 5
        return (*_backward(ctx, *gradients), None, None)


def _forward(
    x: Tensor, state: Tensor | float, dynamics: Dynamics, sinks: tuple[Sink, ...], *, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    frame, dtype = Frame.of(x), torch.promote_types(x.dtype, torch.float32)
    spikes, last = frame.empty(x, x.dtype), frame.empty_step(x, dtype)
    last.copy_(state) if isinstance(state, Tensor) else last.fill_(state)
    if keep or sinks:
        charged = frame.empty(x, dtype)
        kept = frame.blocks(charged)
    else:
        charged = torch.empty(1, frame.columns, dtype=dtype, device=x.device)
        kept = tuple(charged[:, : len(v)] for v in frame.step_blocks(last))
    parts = frame.blocks(x), frame.step_blocks(last), frame.blocks(spikes), kept
    for current, v, spike, h in zip(*parts, strict=True):
        charge_and_fire(current, v, dynamics, spikes=spike, charged=h)
    for sink in sinks:
        for t in range(len(charged)):
            sink(charged[t : t + 1] - dynamics.threshold)
    return spikes, last, charged


def _backward(
    ctx: Any, at_spikes: Tensor | None, at_last: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the gradients at the input, at V_0 and at w."""
    frame, dynamics, needs = ctx.frame, ctx.dynamics, ctx.needs_input_grad
    charged, first = ctx.saved_tensors
    if at_spikes is None:
        at_spikes = charged.new_zeros(()).expand(frame.shape)
    at_input = frame.empty(charged, ctx.input_dtype)
    at_state = frame.empty_step(charged, charged.dtype) if needs[1] else None
    at_weight = torch.zeros((), dtype=torch.float64, device=charged.device)
    lasts, states, firsts = (
        () if step is None else frame.step_blocks(step) for step in (at_last, at_state, first)
    )
    scratch = charged.new_empty(3, len(charged), frame.columns)
    blocks = zip(*map(frame.blocks, (charged, at_spikes, at_input)), strict=True)
    for i, (h, spikes, out) in enumerate(blocks):
        rest = scratch[..., : h.shape[1]]
        g = out if out.dtype == h.dtype else rest[2]
        passed = Passed(spikes, lasts[i] if lasts else None)
        adjoint(h, passed, dynamics, out=g, scratch=rest[:2])
        if states:
            torch.mul(g[0], 1 - dynamics.rate, out=states[i])
        if needs[2]:
            initial = firsts[i] if firsts else ctx.initial
            at_weight += leak_gradient(g, h, initial, dynamics, scratch=rest[:2])
        scaled(g, dynamics, out=out)
    return at_input, at_state, at_weight.to(ctx.weight_dtype) if needs[2] else None
