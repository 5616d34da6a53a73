"""Running sums of one neuron's potentials: criticality and firing rate per channel."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from spikeprune.errors import ObservationError
from spikeprune.neurons.sinks import TimeFold
from spikeprune.science.criticality import ChannelSum, add, charge, compute, per_channel, pool
from spikeprune.science.surrogate import Curve


class Moments(NamedTuple):
    """Over time, samples and positions, `[C]` each, float32.

    Attributes:
        mean: of `x = H - V_th`.
        variance: of `H`.
        size: mean of `|H|`.
    """

    mean: Tensor
    variance: Tensor
    size: Tensor


@final
class MomentSums:
    """Running sums of `x`, `x^2` and `|x + V_th|`, in double precision.

    Args:
        threshold: V_th.

    Attributes:
        sums: `[3, C]`, or None before the first potential; may be set to go on from.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self.sums: Tensor | None = None

    @torch.no_grad()
    def take(self, x: Tensor) -> None:
        """Add potentials minus threshold, `[T', B, C, *space]`."""
        dims = (0, 1, *range(3, x.ndim))
        wide = x.double()
        parts = (wide, wide.square(), (wide + self._threshold).abs())
        new = torch.stack([part.sum(dims) for part in parts])
        self.sums = new if self.sums is None else self.sums.to(new.device) + new

    def state(self) -> Tensor | None:
        """Return the sums on the CPU."""
        return None if self.sums is None else self.sums.cpu()


def moments_of(sums: Tensor, count: int) -> Moments:
    """Close sums `[3, C]`, of one tally or of several added up, over `count` potentials each."""
    mean, square, size = sums / count
    return Moments(mean.float(), (square - mean.square()).clamp_min(0).float(), size.float())


@dataclass(frozen=True)
class ChannelStats:
    """What was observed of one neuron module.

    Attributes:
        score: criticality `S_i`, `[C]` (method, section 2).
        rate: firing rate `[C]`, the mean of `x >= 0` over time, samples and positions.
        samples: number of samples observed.
        moments: of the potentials, if they were asked for.
    """

    score: Tensor
    rate: Tensor
    samples: int
    moments: Moments | None = None

    @property
    def potential(self) -> Moments:
        """The moments, where they were asked for."""
        assert self.moments is not None
        return self.moments


@final
class PotentialSums:
    """Running sums over the potentials of one neuron, which are reduced as they come.

    Between calls at most one running value `[B, C, *space]` is held, and `[C]` between batches.

    Args:
        name: of the neuron, for messages.
        curve: `g`.
        traceable: whether a kernel may be made of `curve`, see `neurons.sinks.Fold`.
        time_steps: T.
        space: 'max' or 'mean'.
        time: 'mean' or 'max'.
        threshold: V_th, to take the moments of the potentials as well; None leaves them out.
    """

    def __init__(
        self,
        name: str,
        curve: Curve,
        *,
        traceable: bool = False,
        time_steps: int,
        space: str,
        time: str,
        threshold: float | None = None,
    ) -> None:
        self.total = 0  # steps recorded since the start
        self._name, self._curve, self._traceable = name, curve, traceable
        self._time_steps = time_steps
        self._space, self._time = space, time
        self._since_reset = 0
        self._partial: Tensor | None = None
        self._charged = 0  # steps in `_partial`
        self._sum: ChannelSum | None = None
        self._dtype = torch.float32  # of the scores
        self._fired: Tensor | None = None
        self._seen = 0  # entries per channel that `_fired` counts over
        self._moments = None if threshold is None else MomentSums(threshold)

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
        self._seen += x.numel() // x.shape[2]
        if self._moments is not None:
            self._moments.take(x)
        for part in _split(x, self._time_steps, self._charged):
            self._partial, fired = charge(self._partial, part, self._curve, self._time)
            self._count(fired)
            self._charged += len(part)
            if self._charged == self._time_steps:
                self._close(part.shape[1])
        self.total += len(x)
        self._since_reset += len(x)

    def fold(self, steps: int) -> TimeFold | None:
        """Return what a forward of so many steps may be folded into: where it is one sequence."""
        whole = steps == self._time_steps and not self._charged
        if not whole or not self._traceable or self._moments is not None:
            return None
        return TimeFold(self._curve, self._time, self._take_folded)

    @torch.no_grad()
    def _take_folded(self, total: Tensor, fired: Tensor) -> None:
        steps = self._time_steps
        self._seen += steps * fired.numel() // fired.shape[1]
        self._count(per_channel(fired))
        self._partial, self._charged = total, steps
        self._close(len(total))
        self.total += steps
        self._since_reset += steps

    def _count(self, fired: Tensor) -> None:
        self._fired = fired if self._fired is None else self._fired.to(fired.device) + fired

    def _close(self, batch: int) -> None:
        assert self._partial is not None
        pooled = pool(self._partial, self._time_steps, space=self._space, time=self._time)
        self._dtype = pooled.dtype
        # In double precision the sum hardly depends on its order, so on how batches are shared out.
        pooled = pooled.double()
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

    def sums(self) -> Tensor:
        """Return all that adds up over batches and processes, as float64.

        `[2 C + 2]`: criticality `[C]`, spikes `[C]`, samples, entries per channel; with moments
        `[5 C + 2]`, theirs `[3 C]` before the counts. At least one whole sequence was recorded.
        Counts are exact up to 2^53.
        """
        assert self._sum is not None
        assert self._fired is not None
        parts = [self._sum.total, self._fired.to(self._sum.total)]
        if self._moments is not None:
            assert self._moments.sums is not None
            parts.append(self._moments.sums.to(self._sum.total).flatten())
        counts = self._sum.total.new_tensor([self._sum.samples, self._seen])
        return torch.cat((*parts, counts))

    def stats(self, sums: Tensor | None = None) -> ChannelStats:
        """Close the sums: this tally's, or those of several added up."""
        sums = self.sums() if sums is None else sums
        samples, seen = (round(count) for count in sums[-2:].tolist())
        total, fired, *rest = sums[:-2].reshape(2 if self._moments is None else 5, -1)
        score = compute(ChannelSum(total, samples))
        moments = moments_of(torch.stack(rest), seen) if rest else None
        rate = fired / seen
        return ChannelStats(score.to(self._dtype), rate.to(self._dtype), samples, moments)

    def state_dict(self) -> dict[str, Any]:
        """Sums so far, as tensors and plain values; whole sequences only."""
        self.reset()
        if self._sum is None:
            return {}
        return {
            "total": self.total,
            "sum": self._sum.total.cpu(),
            "samples": self._sum.samples,
            "fired": None if self._fired is None else self._fired.cpu(),
            "seen": self._seen,
            "moments": None if self._moments is None else self._moments.state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        if state:
            self.total, self._seen = int(state["total"]), int(state["seen"])
            self._sum = ChannelSum(state["sum"].double(), int(state["samples"]))
            self._fired = state["fired"]
            if self._moments is not None:
                self._moments.sums = state["moments"]


def _split(x: Tensor, size: int, filled: int) -> list[Tensor]:
    """Cut steps into the rest of a sequence that holds `filled` of `size`, and further ones."""
    cuts = [0, *range(size - filled, len(x), size), len(x)]
    return [x[a:b] for a, b in itertools.pairwise(cuts)]
