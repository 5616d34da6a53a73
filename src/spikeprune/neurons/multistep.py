"""The equations of `membrane` as one operation of a neuron, with autograd."""

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor

from spikeprune.neurons.compiled import Compiled, serves
from spikeprune.neurons.eager import Eager
from spikeprune.neurons.lif import Dynamics
from spikeprune.neurons.sinks import Sink


def run(
    x: Tensor,
    state: Tensor | float,
    dynamics: Dynamics,
    *,
    weight: Tensor | None = None,
    sinks: Iterable[Sink] = (),
    compiled: bool = False,
) -> tuple[Tensor, Tensor]:
    """Run a neuron over all time steps of `x`.

    Args:
        x: input `[T, B, *]` in any memory format, floating, not empty.
        state: V_0 as `[B, *]` in the dtype of the potentials, or one number for all.
        dynamics: of the neuron.
        weight: w of a PLIF, 0-dimensional, for its gradient; its value is in `dynamics`.
        sinks: each takes all H_t - V_th in one call, `[T, B, *]`, and must not change it. One
            alone may be a `FoldingSink`, which the compiled body tells of sums over time.
        compiled: whether to take the compiled body where it serves, see `compiled.serves`.

    Returns:
        Spikes in the shape, dtype and memory format of `x`, and V_T. Potentials are float32, or
        float64 for such inputs. Gradients reach `x`, `state` and `weight`; where none is asked
        for, nothing is kept. Both bodies give the same spikes and potentials bit for bit.

    Raises:
        ModelError: (in the backward) with `create_graph=True`, for want of a second derivative, or
            where the input was changed in place after the forward.
    """
    inputs = (x, state, weight)
    body: Any = Eager
    if compiled and serves(x, dynamics):
        body = Compiled
    if torch.is_grad_enabled() and any(isinstance(i, Tensor) and i.requires_grad for i in inputs):
        return cast(tuple[Tensor, Tensor], body.apply(*inputs, dynamics, tuple(sinks)))
    with torch.no_grad():
        return cast(tuple[Tensor, Tensor], body.infer(x, state, dynamics, tuple(sinks)))
