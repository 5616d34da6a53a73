"""What a neuron's membrane makes of its input while it does not fire: a low-pass filter over time.

`(K x)_t = scale * sum of decay^(t - s) x_s over s <= t`. The resets of a neuron are left out, so it
is the potential of a neuron that never fires; that is the metric of Spiking Brain Compression
(SBC, arXiv:2506.03996), in which an error of the drive counts as far as the membrane keeps it.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class LowPass(NamedTuple):
    """The filter of one neuron: LIF has `decay = 1 - 1 / tau`, IF has 1."""

    decay: float  # share of the potential that is left after a step
    scale: float = 1.0  # factor of the input: 1 / tau where the neuron lets its input decay, too


def filtered(x: Tensor, low_pass: LowPass, before: Tensor | None = None) -> Tensor:
    """Return `K x`, `[T, *]`, of an input over time `[T, *]`.

    Args:
        x: the input, at least float32.
        low_pass: K.
        before: `[*]`, the last step of what this function gave for the steps before; None: none.

    Source: arXiv:2506.03996, section 3 (the filter of a LIF without its reset).
    """
    steps = []
    for now in x:
        now = low_pass.scale * now
        before = now if before is None else torch.add(now, before, alpha=low_pass.decay)
        steps.append(before)
    return torch.stack(steps)


def gain_of_constant(low_pass: LowPass, time_steps: int) -> float:
    """Return the root mean square over T steps of `K 1`: what the filter makes of a constant 1."""
    response = filtered(torch.ones(time_steps, dtype=torch.float64), low_pass)
    return float(response.square().mean().sqrt())
