"""Running sums of one neuron's potentials: criticality, firing rate and moments per channel."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from spikeprune.adapters.neuron import Neuron
from spikeprune.errors import ObservationError
from spikeprune.execution.recomputing import recomputing
from spikeprune.neurons.sinks import TimeFold
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.science.criticality import (
    ChannelSum,
    add,
    charge,
    compute,
    per_channel,
    pool,
    sum_in_order,
)
from spikeprune.science.surrogate import Curve


class Moments(NamedTuple):
    """Moments of the potentials over time, samples and positions, `[C]` each, float32."""

    mean: Tensor  # of x = H - V_th
    variance: Tensor  # of H
    size: Tensor  # mean of |H|


@dataclass(frozen=True)
class ChannelStats:
    """What one neuron module did while it was observed."""

    score: Tensor  # criticality `S_i`, [C] (method, section 2)
    rate: Tensor  # firing rate [C], the mean of x >= 0 over time, samples and positions
    samples: int
    moments: Moments | None = None  # of the potentials, if they were asked for

    @property
    def potential(self) -> Moments:
        """The moments, where they were asked for."""
        assert self.moments is not None
        return self.moments


@final
class PotentialSums:
    """A sink that sums the potentials of one neuron as they come.

    Between calls it holds at most one running value `[B, C, *space]`, and `[C]` between batches.
    Forwards in the other mode than `train` are left out, and those that checkpointing runs again.
    With a `threshold` it sums the moments as well. A kernel may be made of a `traceable` curve, see
    `neurons.sinks.TimeFold`.
    """

    def __init__(
        self,
        name: str,
        neuron: Neuron,
        curve: Curve,
        options: CriticalityOptions,
        *,
        time_steps: int,
        train: bool,
        traceable: bool = False,
        threshold: float | None = None,
    ) -> None:
        self.total = 0  # time steps recorded since the start
        self._name, self._neuron, self._train = name, neuron, train
        self._curve, self._traceable, self._options = curve, traceable, options
        self._time_steps, self._threshold = time_steps, threshold
        self._since_reset = 0
        self._partial: Tensor | None = None
        self._charged = 0  # steps in `_partial`
        self._sum: ChannelSum | None = None
        self._dtype = torch.float32  # of the scores
        self._fired: Tensor | None = None
        self._seen = 0  # entries per channel that `_fired` counts over
        self._moments: Tensor | None = None  # [3, C], sums of x, x^2 and |x + V_th|

    @torch.no_grad()
    def __call__(self, x: Tensor) -> None:
        """Add potentials relative to the threshold, `[T', B, C, *space]`."""
        if not self._listens():
            return
        if self._partial is not None and self._partial.shape != x.shape[1:]:
            raise ObservationError(
                f"expected neuron {self._name!r} to record {tuple(self._partial.shape)} in every "
                f"step of a sequence, got {tuple(x.shape[1:])} in the middle of one; reset the "
                "model before each batch"
            )
        if self._threshold is not None:
            dims, wide = (0, 1, *range(3, x.ndim)), x.double()
            parts = (wide, wide.square(), (wide + self._threshold).abs())
            self._moments = _plus(
                self._moments, torch.stack([sum_in_order(part, dims) for part in parts])
            )
        for part in _split(x, self._time_steps, self._charged):
            self._partial, fired = charge(self._partial, part, self._curve, self._options.time)
            self._fired = _plus(self._fired, fired)
            self._charged += len(part)
            if self._charged == self._time_steps:
                self._close()
        self._count(len(x), x.numel() // x.shape[2])

    def fold(self, steps: int) -> TimeFold | None:
        """Return how to sum a whole sequence inside the neuron; None: not possible."""
        whole = steps == self._time_steps and not self._charged
        summed = self._listens() and self._threshold is None
        if not (whole and summed and self._traceable):
            return None
        return TimeFold(self._curve, self._options.time, self._take_folded)

    @torch.no_grad()
    def _take_folded(self, total: Tensor, fired: Tensor) -> None:
        self._fired = _plus(self._fired, per_channel(fired))
        self._partial = total
        self._close()
        self._count(self._time_steps, self._time_steps * fired.numel() // fired.shape[1])

    def _listens(self) -> bool:
        return self._neuron.training is self._train and not recomputing()

    def _count(self, steps: int, entries: int) -> None:
        self.total += steps
        self._since_reset += steps
        self._seen += entries

    def _close(self) -> None:
        """Add the sequence that is complete to the sums."""
        assert self._partial is not None
        options = self._options
        pooled = pool(self._partial, self._time_steps, space=options.space, time=options.time)
        self._dtype = pooled.dtype
        # In double precision the sum hardly depends on its order, so on how batches are shared out.
        pooled = pooled.double()
        if self._sum is not None:  # a resumed sum may lie on another device
            self._sum = self._sum._replace(total=self._sum.total.to(pooled.device))
        self._sum = add(self._sum, pooled, len(self._partial))
        self._partial, self._charged = None, 0

    def reset(self) -> None:
        """Note that the neuron was reset: the steps before must be whole sequences."""
        if recomputing():
            return
        if self._since_reset % self._time_steps:
            raise ObservationError(
                f"expected neuron {self._name!r} to record a multiple of T = {self._time_steps} "
                f"time steps between two resets, got {self._since_reset}; set time_steps to what "
                "the model runs, and reset the model once per batch"
            )
        self._since_reset = 0

    def sums(self) -> Tensor:
        """Return all that adds up over batches and processes, float64, as one vector.

        `[2 C + 2]`: criticality `[C]`, spikes `[C]`, samples, entries per channel. With moments
        `[5 C + 2]`: their sums `[3 C]` stand before the counts. Counts are exact up to 2^53.
        """
        assert self._sum is not None
        assert self._fired is not None
        parts = [self._sum.total, self._fired.to(self._sum.total)]
        if self._moments is not None:
            parts.append(self._moments.to(self._sum.total).flatten())
        counts = self._sum.total.new_tensor([self._sum.samples, self._seen])
        return torch.cat((*parts, counts))

    def stats(self, sums: Tensor | None = None) -> ChannelStats:
        """Return the means over `sums`; None: over this neuron's own sums."""
        assert self._sum is not None
        sums = self.sums() if sums is None else sums
        samples, seen = (round(count) for count in sums[-2:].tolist())
        total, fired, *moments = sums[:-2].view(-1, len(self._sum.total))
        score, rate = compute(ChannelSum(total, samples)), fired / seen
        return ChannelStats(
            score=score.to(self._dtype),
            rate=rate.to(self._dtype),
            samples=samples,
            moments=_moments(torch.stack(moments) / seen) if moments else None,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the sums so far, as tensors and plain values; whole sequences only."""
        self.reset()
        if self._sum is None:
            return {}
        return {
            "total": self.total,
            "sum": self._sum.total.cpu(),
            "samples": self._sum.samples,
            "fired": None if self._fired is None else self._fired.cpu(),
            "seen": self._seen,
            "moments": None if self._moments is None else self._moments.cpu(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        if state:
            self.total, self._seen = int(state["total"]), int(state["seen"])
            self._sum = ChannelSum(state["sum"].double(), int(state["samples"]))
            self._fired, self._moments = state["fired"], state["moments"]


def _plus(total: Tensor | None, new: Tensor) -> Tensor:
    return new if total is None else total.to(new.device) + new


def _moments(means: Tensor) -> Moments:
    """Return the moments from the means of x, x^2 and |x + V_th|, `[3, C]` float64."""
    mean, square, size = means
    return Moments(mean.float(), (square - mean.square()).clamp_min(0).float(), size.float())


def _split(x: Tensor, size: int, filled: int) -> list[Tensor]:
    """Cut steps into the rest of a sequence that holds `filled` of `size`, and further ones."""
    cuts = [0, *range(size - filled, len(x), size), len(x)]
    return [x[a:b] for a, b in itertools.pairwise(cuts)]
