"""Scores of a pool of weight tensors: comparison with a threshold, and the k-th largest of them.

The k-th largest is found exactly, without a copy or a sort of the pool. A systematic sample gives
two pivots that very likely enclose it. One pass counts the values above them and extracts those
between; counts decide, so a bad sample costs another pass but never changes the result. The
remaining values shrink to a few, which are sorted. Values are read in chunks that stay in cache.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from spikeprune.errors import ConfigError, RunError
from spikeprune.science.memory_order import live_count, memory_order

_CHUNK = 1 << 18  # elements a chunk on the CPU: with its scratch it fits a 2 MB cache
_SAMPLE = 1 << 15  # values that place the pivots
_FEW = 1 << 14  # largest number of values to sort


class Magnitude(NamedTuple):
    """`|weight|` as a score, computed in pieces where it is read: a copy would cost memory."""

    weight: Tensor

    @property
    def shape(self) -> torch.Size:
        """Shape of the weight."""
        return self.weight.shape

    @property
    def device(self) -> torch.device:
        """Device of the weight."""
        return self.weight.device


Ranked = Tensor | Magnitude


class Strip(NamedTuple):
    """A part of the pool, flat."""

    values: Tensor  # [n], without NaN
    weights: Tensor  # [n], the multiplicity of each value: bool, or whole numbers in any type
    magnitude: bool = False  # whether the strip stands for |values|

    def where(self, chosen: Tensor) -> "Strip":
        """Return the entries chosen by a bool `[n]`."""
        places = chosen.nonzero().view(-1)
        return Strip(self.values[places], self.weights[places], self.magnitude)


class Found(NamedTuple):
    """The k-th largest value, and the place of k among its equals."""

    threshold: Tensor  # 0-dimensional
    missing: int  # number of entries equal to the threshold that belong to the k largest
    equal: int  # number of entries equal to the threshold


def aligned(scores: Sequence[Ranked], candidates: Sequence[Tensor]) -> list[Ranked]:
    """Give all scores as many axes as their candidates, and check them.

    Raises:
        ConfigError: Numbers, shapes or types do not fit.
        RunError: A score is NaN.
    """
    if len(scores) != len(candidates):
        raise ConfigError(f"expected {len(candidates)} tensors of scores, got {len(scores)}")
    found: list[Ranked] = []
    for score, c in zip(scores, candidates, strict=True):
        s = _stored(score).detach()
        shape = (1,) * (c.ndim - s.ndim) + tuple(s.shape)
        fits = len(shape) == c.ndim and all(
            a in (1, b) for a, b in zip(shape, c.shape, strict=True)
        )
        if not fits or not s.dtype.is_floating_point:
            raise ConfigError(
                f"expected real scores that broadcast to {tuple(c.shape)}, "
                f"got {s.dtype} of shape {tuple(s.shape)}"
            )
        if s.numel() and bool(s.amax().isnan()):  # amax passes NaN on
            raise RunError("a score is not a number; the training has diverged")
        s = s if s.ndim == c.ndim else s.reshape(shape)
        found.append(Magnitude(s) if isinstance(score, Magnitude) else s)
    return found


def find_threshold(scores: Sequence[Ranked], k: int, candidates: Sequence[Tensor]) -> Found:
    """Find the k-th largest of `aligned` scores; a score counts as often as candidates share it."""
    pool = [_strip(score, c) for score, c in zip(scores, candidates, strict=True) if c.numel()]
    dtype = reduce(torch.promote_types, [_stored(s).dtype for s in scores], torch.float32)
    return find(pool, k, dtype)


def passing(
    score: Ranked,
    candidates: Tensor,
    threshold: Tensor,
    test: Callable[..., Tensor],
    into: Tensor | None = None,
) -> Tensor:
    """Return which candidates have a score that passes a test, in their memory order.

    Args:
        score: `aligned`.
        candidates: bool.
        threshold: 0-dimensional, in the type in which scores are compared.
        test: `torch.gt`, `torch.ge` or `torch.eq`.
        into: Where to write the result; it may be `candidates`. None: a new tensor.
    """
    values = _stored(score)
    result = torch.empty_like(candidates) if into is None else into
    if values.shape != candidates.shape:
        signless = values.abs() if isinstance(score, Magnitude) else values
        hit = test(signless.to(threshold.dtype), threshold)
        # The product of bytes is quicker than `and` of bool.
        out = result.view(torch.uint8)
        torch.mul(candidates.view(torch.uint8), hit.view(torch.uint8), out=out)
        return result
    order = memory_order(result)
    strip = _flattened(score, candidates, order)
    parts = torch.split(result.permute(order).view(-1), chunk_size(values))
    for part, (x, counted) in zip(parts, chunks(strip, threshold.dtype), strict=True):
        torch.bitwise_and(test(x, threshold), counted, out=part)
    return result


def _stored(score: Ranked) -> Tensor:
    return score.weight if isinstance(score, Magnitude) else score


def _flattened(score: Ranked, counts: Tensor, order: list[int]) -> Strip:
    values = _stored(score).permute(order).reshape(-1)
    return Strip(values, counts.permute(order).reshape(-1), isinstance(score, Magnitude))


def _strip(score: Ranked, candidates: Tensor) -> Strip:
    """Flatten in memory order; a value that repeats along axes is there once, with its count."""
    shared = [i for i, length in enumerate(_stored(score).shape) if length != candidates.shape[i]]
    counts = _count_along(candidates, shared) if shared else candidates
    return _flattened(score, counts, memory_order(counts))


def _count_along(mask: Tensor, dims: list[int]) -> Tensor:
    """Count set entries along axes, in chunks: sums of bool are many times slower than of float."""
    rows = max(1, chunk_size(mask) * len(mask) // mask.numel())
    parts = torch.split(mask.view(torch.uint8), rows)
    counts = [part.double().sum(dims, keepdim=True).to(torch.int64) for part in parts]
    return torch.stack(counts).sum(0) if 0 in dims else torch.cat(counts)


def find(pool: Sequence[Strip], k: int, dtype: torch.dtype) -> Found:
    """Return the k-th largest value (k from 1) of strips on one device, counted by weight.

    Values are compared in `dtype`, float32 or float64, which holds each of them exactly.
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
            at_high = _total([between.where(between.values == high)])
            at_low = _total([between.where(between.values == low)])
            if k <= at_high:
                return Found(high, k, at_high)
            if k > inside - at_low:
                return Found(low, k - (inside - at_low), at_low)
            k -= at_high
            strips = [between.where((between.values > low) & (between.values < high))]
    return _sorted(strips, k, dtype)


def chunk_size(tensor: Tensor) -> int:
    """Return how many elements are processed at once: all of them off the CPU."""
    return _CHUNK if tensor.device.type == "cpu" else max(tensor.numel(), 1)


def chunks(strip: Strip, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the values, in `dtype` and as magnitudes if the strip says so, with their weights.

    The values may lie in scratch memory that the next chunk overwrites.
    """
    values, weights, magnitude = strip
    size = chunk_size(values)
    scratch = values.new_empty(min(size, len(values)) if magnitude else 0, dtype=dtype)
    for part, share in zip(torch.split(values, size), torch.split(weights, size), strict=True):
        cast = part.to(dtype)
        yield torch.abs(cast, out=scratch[: len(part)]) if magnitude else cast, share


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
    """Count the values above `high`, and extract those in `[low, high]`."""
    first = strips[0]
    above, between = 0, [Strip(first.values[:0].to(dtype), first.weights[:0])]
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
    values = torch.cat([strip.values for strip in between])
    return above, Strip(values, torch.cat([strip.weights for strip in between]))


def _total(strips: Sequence[Strip]) -> int:
    return sum(
        live_count(s.weights) if s.weights.dtype == torch.bool else int(s.weights.sum())
        for s in strips
    )


def _gathered(strips: Sequence[Strip], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return all values of positive weight, and their weights."""
    values = torch.cat([s.values.abs() if s.magnitude else s.values for s in strips])
    weights = torch.cat([s.weights.to(torch.int64) for s in strips])
    counted = weights > 0
    return values[counted].to(dtype), weights[counted]


def _sorted(strips: Sequence[Strip], k: int, dtype: torch.dtype) -> Found:
    values, weights = _gathered(strips, dtype)
    values, order = values.sort(descending=True)
    weights = weights[order]
    threshold = values[torch.searchsorted(weights.cumsum(0), k)]
    equal = int(weights[values == threshold].sum())
    return Found(threshold, k - int(weights[values > threshold].sum()), equal)
