"""One neuron over many time steps as one differentiable operation, by the equations of `lif`."""

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
        state: V_0 as `[B, *]` in the dtype of the potentials, or one number for all neurons.
        dynamics: constants of the neuron.
        weight: w of a PLIF, 0-dimensional, for its gradient; its value is in `dynamics`.
        sinks: each takes H_t - V_th of all steps in one call, `[T, B, *]`, and must not change it.
            A single `FoldingSink` gets sums over time from the compiled body instead.
        compiled: use the compiled body where `compiled.serves` allows it.

    Returns:
        Spikes in the shape, dtype and memory format of `x`, and V_T. Potentials are float64 for
        float64 inputs, else float32. Gradients reach `x`, `state` and `weight`; if none of them
        needs one, nothing is stored. Both bodies give equal spikes and potentials bit for bit.
    """
    inputs = (x, state, weight)
    body: Any = Compiled if compiled and serves(x, dynamics) else Eager
    if torch.is_grad_enabled() and any(isinstance(i, Tensor) and i.requires_grad for i in inputs):
        return cast(tuple[Tensor, Tensor], body.apply(*inputs, dynamics, tuple(sinks)))
    with torch.no_grad():
        return cast(tuple[Tensor, Tensor], body.infer(x, state, dynamics, tuple(sinks)))
