"""Where a neuron's potentials go: a sink that takes them, or a fold over time."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

Sink = Callable[[Tensor], None]
"""Takes potentials relative to threshold, `x = H - V_th`, charged and before reset, detached, as
`[T', B, C, *space]`; T' consecutive steps per call. A neuron fires where `x >= 0`."""


class TimeFold(NamedTuple):
    """What a sink takes in place of all potentials of a forward: sums over its time steps.

    Attributes:
        curve: g, of elementwise operations that a compiler can trace; the same object for the same
            function, since a kernel is made for each.
        time: 'mean' for the sum of g(x) over the steps, 'max' for its maximum.
        take: takes that, `[B, C, *space]`, and how often each neuron fired, likewise.
    """

    curve: Callable[[Tensor], Tensor]
    time: str
    take: Callable[[Tensor, Tensor], None]


@runtime_checkable
class FoldingSink(Protocol):
    """A sink that a fused neuron may tell of folded potentials, which it makes in passing."""

    def __call__(self, potentials: Tensor) -> None:
        """Take potentials, as any sink does."""
        ...

    def fold(self, steps: int) -> TimeFold | None:
        """Return what to fold a forward of so many steps into; None: it wants the potentials."""
        ...
