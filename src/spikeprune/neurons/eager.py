"""Eager body of a fused neuron: computes in place, block by block; the backward reuses H."""

from typing import Any, final

import torch
from torch import Tensor

from spikeprune.neurons import lif
from spikeprune.neurons.blocks import Frame
from spikeprune.neurons.lif import Dynamics
from spikeprune.neurons.sinks import Sink


@final
class Eager(torch.autograd.Function):
    """One neuron over all time steps; inputs and outputs as `multistep.run`."""

    @staticmethod
    def infer(
        x: Tensor, state: Tensor | float, dynamics: Dynamics, sinks: tuple[Sink, ...]
    ) -> tuple[Tensor, Tensor]:
        """Run the forward without storing anything."""
        spikes, last, _ = _forward(x, state, dynamics, sinks, keep=False)
        return spikes, last

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        state: Tensor | float,
        weight: Tensor | None,
        dynamics: Dynamics,
        sinks: tuple[Sink, ...],
    ) -> tuple[Tensor, Tensor]:
        """Run the forward and store H."""
        spikes, last, charged = _forward(x, state, dynamics, sinks, keep=True)
        ctx.dynamics, ctx.frame, ctx.input_dtype = dynamics, Frame.of(x), x.dtype
        ctx.weight_dtype = None if weight is None else weight.dtype
        ctx.initial = 0.0 if isinstance(state, Tensor) else state
        # Only the gradient at w needs V_0.
        first = state if isinstance(state, Tensor) and ctx.needs_input_grad[2] else None
        ctx.save_for_backward(charged, first)
        ctx.set_materialize_grads(False)
        return spikes, last

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients of the inputs: x, V_0 and w, and None for the others."""
        lif.first_derivatives_only()
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
    states = frame.step_blocks(last)
    for current, v, out, h in zip(frame.blocks(x), states, frame.blocks(spikes), kept, strict=True):
        lif.charge_and_fire(
            current.unbind(0), v, dynamics, spikes=out.unbind(0), charged=h.unbind(0)
        )
    if sinks:
        above = charged - dynamics.threshold
        for sink in sinks:
            sink(above)
    return spikes, last, charged


def _backward(
    ctx: Any, at_spikes: Tensor | None, at_last: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the gradients at x, V_0 and w, block by block."""
    frame, dynamics, needs = ctx.frame, ctx.dynamics, ctx.needs_input_grad
    charged, first = ctx.saved_tensors
    if at_spikes is None:
        at_spikes = charged.new_zeros(()).expand(frame.shape)
    at_input = frame.empty(charged, ctx.input_dtype)
    at_state = frame.empty_step(charged, charged.dtype) if needs[1] else None
    leaked = torch.zeros((), dtype=torch.float64, device=charged.device)
    lasts, states, firsts = (
        () if step is None else frame.step_blocks(step) for step in (at_last, at_state, first)
    )
    scratch = charged.new_empty(3, len(charged), frame.columns)
    blocks = zip(
        frame.blocks(charged), frame.blocks(at_spikes), frame.blocks(at_input), strict=True
    )
    for i, (h, spikes, out) in enumerate(blocks):
        rest = scratch[..., : h.shape[1]]
        g = out if out.dtype == h.dtype else rest[2]
        factor = lif.spike_gradient(h, spikes, dynamics, out=g, scratch=rest[:2].unbind(0))
        factors = None if factor is None else factor.unbind(0)
        lif.accumulate(g.unbind(0), factors, lasts[i] if lasts else None, dynamics)
        if states:
            torch.mul(g[0], 1 - dynamics.rate, out=states[i])
        if needs[2]:
            initial = firsts[i] if firsts else ctx.initial
            leaked += _leak_sum(g, h, initial, dynamics, scratch=rest[:2])
        lif.input_gradient(g, dynamics, out=out)
    at_weight = (leaked * lif.leak_factor(dynamics)).to(ctx.weight_dtype) if needs[2] else None
    return at_input, at_state, at_weight


def _leak_sum(
    g: Tensor, h: Tensor, first: Tensor | float, dynamics: Dynamics, *, scratch: Tensor
) -> Tensor:
    """Return the sum of `leak_term` over one block, from V_0 `first`; `scratch` is `[2, T, n]`."""
    previous, spikes = scratch.unbind(0)
    torch.ge(h[:-1], dynamics.threshold, out=spikes[:-1])
    lif.reset_to(previous[1:], h[:-1], spikes[:-1], dynamics)
    previous[0] = first
    return lif.leak_term(g, h, previous, dynamics).sum().double()
