"""Running sums of one neuron's potentials: criticality and firing rate per channel."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from spikeprune.errors import ObservationError
from spikeprune.science.criticality import ChannelSum, add, charge, compute, pool
from spikeprune.science.surrogate import Curve

__all__ = ["ChannelStats", "Tally"]


@dataclass(frozen=True)
class ChannelStats:
    """What was observed of one neuron module.

    Attributes:
        score: criticality `S_i`, `[C]` (method, section 2).
        rate: firing rate `[C]`, the mean of `x >= 0` over time, samples and positions.
        samples: number of samples observed.
    """

    score: Tensor
    rate: Tensor
    samples: int


@final
class Tally:
    """Running sums over the potentials of one neuron, which are reduced as they come.

    Between calls at most one running value `[B, C, *space]` is held, and `[C]` between batches.

    Args:
        name: of the neuron, for messages.
        curve: `g`.
        time_steps: T.
        space: 'max' or 'mean'.
        time: 'mean' or 'max'.
    """

    def __init__(self, name: str, curve: Curve, *, time_steps: int, space: str, time: str) -> None:
        self.total = 0  # steps recorded since the start
        self._name, self._curve, self._time_steps = name, curve, time_steps
        self._space, self._time = space, time
        self._since_reset = 0
        self._partial: Tensor | None = None
        self._charged = 0  # steps in `_partial`
        self._sum: ChannelSum | None = None
        self._fired: Tensor | None = None
        self._seen = 0  # entries per channel that `_fired` counts over

    @torch.no_grad()
    def take(self, x: Tensor) -> None:
        """Add potentials `[T', B, C, *space]`.

        Raises:
            ObservationError: another shape in the middle of a sequence.
        """
        if self._partial is not None and self._partial.shape != x.shape[1:]:
            raise ObservationError(
                f"expected neuron {self._name!r} to record {tuple(self._partial.shape)} in every "
                f"step of a sequence, got {tuple(x.shape[1:])} in the middle of one; reset the "
                "model before each batch"
            )
        fired = (x >= 0).sum((0, 1, *range(3, x.ndim)))
        self._fired = fired if self._fired is None else self._fired.to(fired.device) + fired
        self._seen += x.numel() // x.shape[2]
        for part in _split(x, self._time_steps, self._charged):
            self._partial = charge(self._partial, part, self._curve, self._time)
            self._charged += len(part)
            if self._charged == self._time_steps:
                self._close(part.shape[1])
        self.total += len(x)
        self._since_reset += len(x)

    def _close(self, batch: int) -> None:
        assert self._partial is not None
        pooled = pool(self._partial, self._time_steps, space=self._space, time=self._time)
        if self._sum is not None:  # a resumed sum may lie on another device
            self._sum = self._sum._replace(total=self._sum.total.to(pooled.device))
        self._sum = add(self._sum, pooled, batch)
        self._partial, self._charged = None, 0

    def reset(self) -> None:
        """The neuron was reset: the steps before must be whole sequences.

        Raises:
            ObservationError: they are not.
        """
        if self._since_reset % self._time_steps:
            raise ObservationError(
                f"expected neuron {self._name!r} to record a multiple of T = {self._time_steps} "
                f"time steps between two resets, got {self._since_reset}; set time_steps to what "
                "the model runs, and reset the model once per batch"
            )
        self._since_reset = 0

    def stats(self) -> ChannelStats:
        """Close the sums; at least one whole sequence was recorded."""
        assert self._sum is not None
        assert self._fired is not None
        score = compute(self._sum)
        return ChannelStats(score, (self._fired / self._seen).to(score), self._sum.samples)

    def state_dict(self) -> dict[str, Any]:
        """Sums so far, as tensors and plain values; whole sequences only."""
        self.reset()
        if self._sum is None:
            return {}
        return {
            "total": self.total,
            "sum": self._sum.total,
            "samples": self._sum.samples,
            "fired": self._fired,
            "seen": self._seen,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        if state:
            self.total, self._seen = int(state["total"]), int(state["seen"])
            self._sum = ChannelSum(state["sum"], int(state["samples"]))
            self._fired = state["fired"]


def _split(x: Tensor, size: int, filled: int) -> list[Tensor]:
    """Cut steps into the rest of a sequence that holds `filled` of `size`, and further ones."""
    cuts = [0, *range(size - filled, len(x), size), len(x)]
    return [x[a:b] for a, b in itertools.pairwise(cuts)]
