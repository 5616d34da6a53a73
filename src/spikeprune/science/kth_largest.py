"""The k-th largest of a pool of tensors, exactly, without a copy or a sort of the pool.

A systematic sample gives two pivots that very likely enclose the k-th largest. One pass counts
what lies above them and extracts what lies between; counts decide, so a bad sample costs another
pass and never the result. What is left shrinks to a few values, which are sorted. Values are read
in chunks that stay in cache.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spikeprune.science.memory_order import live_count

_CHUNK = 1 << 18  # elements a chunk on the CPU: with its scratch it fits a 2 MB cache
_SAMPLE = 1 << 15  # values looked at to place the pivots
_FEW = 1 << 14  # values that are sorted


class Strip(NamedTuple):
    """A part of the pool, flat.

    Attributes:
        values: `[n]`, without NaN.
        weights: `[n]`, how often each value counts: bool, or whole numbers in any type.
        magnitude: whether `|values|` is meant.
    """

    values: Tensor
    weights: Tensor
    magnitude: bool = False

    def where(self, chosen: Tensor) -> "Strip":
        """Return the entries that are chosen, by a bool `[n]`."""
        places = chosen.nonzero().view(-1)
        return Strip(self.values[places], self.weights[places], self.magnitude)


class Found(NamedTuple):
    """The k-th largest value and where k lies among its equals.

    Attributes:
        threshold: 0-dimensional.
        missing: how many of those equal to the threshold belong to the k largest.
        equal: how many are equal to it.
    """

    threshold: Tensor
    missing: int
    equal: int


def find(pool: Sequence[Strip], k: int, dtype: torch.dtype) -> Found:
    """Return the k-th largest value of a pool, counted by weight.

    Args:
        pool: strips on one device; `1 <= k <=` the sum of their weights.
        k: place, from 1.
        dtype: float32 or float64, in which values are compared; it holds every value exactly.
    """
    strips = list(pool)
    edge = torch.full((), torch.inf, dtype=dtype, device=strips[0].values.device)
    while sum(len(s.values) for s in strips) > _FEW:
        low, high = _pivots(strips, k, dtype)
        above, between = _split(strips, low, high, dtype)
        inside = _total([between])
        if k <= above:
            strips = [_split(strips, torch.nextafter(high, edge), edge, dtype)[1]]
        elif k > above + inside:
            over, between = _split(strips, -edge, torch.nextafter(low, -edge), dtype)
            k, strips = k - over, [between]
        else:
            k -= above
            at_high, at_low = (_total([between.where(between.values == at)]) for at in (high, low))
            if k <= at_high:
                return Found(high, k, at_high)
            if k > inside - at_low:
                return Found(low, k - (inside - at_low), at_low)
            k -= at_high
            strips = [between.where((between.values > low) & (between.values < high))]
    return _sorted(strips, k, dtype)


def chunk_size(tensor: Tensor) -> int:
    """Return how many elements are worked on at once; all where there is no cache to fit."""
    return _CHUNK if tensor.device.type == "cpu" else max(tensor.numel(), 1)


def chunks(strip: Strip, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
    """Give the values that are meant, in `dtype`, and the weights, piece by piece.

    The values may lie in scratch memory that the next piece overwrites.
    """
    values, weights, magnitude = strip
    size = chunk_size(values)
    scratch = values.new_empty(min(size, len(values)) if magnitude else 0, dtype=dtype)
    for part, share in zip(torch.split(values, size), torch.split(weights, size), strict=True):
        meant = part.to(dtype)
        yield torch.abs(meant, out=scratch[: len(part)]) if magnitude else meant, share


def _pivots(strips: Sequence[Strip], k: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return two values between which the k-th largest probably lies (three deviations)."""
    stride = sum(len(s.values) for s in strips) // _SAMPLE | 1  # odd: no beat with powers of two
    picked = [Strip(s.values[::stride], s.weights[::stride], s.magnitude) for s in strips]
    values, weights = _gathered(picked, dtype)
    if not len(values):
        edge = torch.full((), torch.inf, dtype=dtype, device=weights.device)
        return -edge, edge
    values, order = values.sort(descending=True)
    reached = weights[order].cumsum(0)
    share = k / _total(strips)
    slack = 3 * (share * (1 - share) / len(values)) ** 0.5 + 2 / len(values)
    ends = [int((share + side) * int(reached[-1])) for side in (-slack, slack)]
    places = torch.searchsorted(reached, torch.tensor(ends, device=reached.device))
    high, low = values[places.clamp_(max=len(values) - 1)]
    return low, high


def _split(
    strips: Sequence[Strip], low: Tensor, high: Tensor, dtype: torch.dtype
) -> tuple[int, Strip]:
    """Count what is above `high`, and extract what lies in `[low, high]`."""
    above, between = 0, [_nothing(strips[0], dtype)]
    for strip in strips:
        size = min(chunk_size(strip.values), len(strip.values))
        more, within = strip.weights.new_empty(2, size, dtype=torch.bool)
        for x, weights in chunks(strip, dtype):
            over, inside = more[: len(x)], within[: len(x)]
            counted = weights if weights.dtype == torch.bool else weights > 0
            torch.gt(x, high, out=over).bitwise_and_(counted)
            torch.ge(x, low, out=inside).bitwise_and_(counted).bitwise_xor_(over)
            above += live_count(over) if counted is weights else int((over * weights).sum())
            between.append(Strip(x, weights).where(inside))
    parts = zip(*((s.values, s.weights) for s in between), strict=True)
    values, counted = (torch.cat(part) for part in parts)
    return above, Strip(values, counted)


def _nothing(strip: Strip, dtype: torch.dtype) -> Strip:
    return Strip(strip.values[:0].to(dtype), strip.weights[:0])


def _total(strips: Sequence[Strip]) -> int:
    return sum(
        live_count(s.weights) if s.weights.dtype == torch.bool else int(s.weights.sum())
        for s in strips
    )


def _gathered(strips: Sequence[Strip], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return values and weights of few strips, as two tensors; what does not count is left out."""
    values = torch.cat([s.values.abs() if s.magnitude else s.values for s in strips])
    weights = torch.cat([s.weights.to(torch.int64) for s in strips])
    counted = weights > 0
    return values[counted].to(dtype), weights[counted]


def _sorted(strips: Sequence[Strip], k: int, dtype: torch.dtype) -> Found:
    values, order = (gathered := _gathered(strips, dtype))[0].sort(descending=True)
    weights = gathered[1][order]
    reached = weights.cumsum(0)
    threshold = values[torch.searchsorted(reached, k)]
    equal = int(weights[values == threshold].sum())
    return Found(threshold, k - int(weights[values > threshold].sum()), equal)
