"""Receivers of a neuron's potentials: sinks for single steps, folds for sums over time."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

Sink = Callable[[Tensor], None]
"""Takes the potentials of T' consecutive steps, `[T', B, C, *space]`: relative to threshold
(`x = H - V_th`), after charging and before reset, detached. A neuron fires where `x >= 0`."""


class TimeFold(NamedTuple):
    """Sum or maximum over time that a sink takes instead of all potentials of a forward."""

    # g, of elementwise operations that a compiler can trace. Equal functions must be one object,
    # because each object gets its own kernel.
    curve: Callable[[Tensor], Tensor]
    time: str  # 'mean' for the sum of g(x) over the steps, 'max' for its maximum
    # Takes the folded g(x) and the number of spikes of each neuron, `[B, C, *space]` each.
    take: Callable[[Tensor, Tensor], None]


@runtime_checkable
class FoldingSink(Protocol):
    """A sink that also takes potentials that a fused neuron has already folded over time."""

    def __call__(self, potentials: Tensor) -> None:
        """Take potentials, like any sink."""

    def fold(self, steps: int) -> TimeFold | None:
        """Return the fold for a forward of `steps` steps, or None to get the potentials."""
