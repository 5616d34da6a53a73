"""Mean, variance and mean size of one neuron's potentials, per channel, from running sums."""

from typing import NamedTuple, final

import torch
from torch import Tensor


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
