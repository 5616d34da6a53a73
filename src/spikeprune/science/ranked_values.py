"""Scores of weight tensors: checks, comparison with a threshold, k-th largest value."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from spikeprune.errors import ConfigError, RunError
from spikeprune.science.kth_largest import Found, Strip, chunk_size, chunks, find
from spikeprune.science.memory_order import memory_order


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
