"""Exactly k of a pool of tensors, and the keep-and-regrow step built on it.

The order is total, so the choice is the same everywhere: score, then a tie score (the weight's
magnitude just before the event), then the lowest index (tensor order, then flat index).
The threshold is found by radix selection: a histogram of 16 bits of the ordered float bits for
each pass, in chunks, so that a pool of 100 million weights is neither copied nor sorted.
"""

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from spikeprune.errors import BudgetError, ConfigError, RunError

__all__ = ["Selection", "keep_and_regrow", "kth_largest", "top_k"]

_BINS = 1 << 16
_CHUNK = 1 << 20
_KEYS = {torch.float32: torch.int32, torch.float64: torch.int64}


class _Found(NamedTuple):
    threshold: Tensor
    missing: int  # how many of those equal to the threshold belong to the k largest
    equal: int  # how many are equal to it


class Selection(NamedTuple):
    """Result of an event, in the order of the tensors given; the two are disjoint.

    Attributes:
        kept: bool, shaped as the weights; live before and after.
        regrown: bool, shaped as the weights; live after by regrowth.
    """

    kept: list[Tensor]
    regrown: list[Tensor]


def kth_largest(
    values: Sequence[Tensor], k: int, *, candidates: Sequence[Tensor] | None = None
) -> Tensor:
    """Return the k-th largest element of a pool, exactly.

    Args:
        values: Floating tensors of any shape, without NaN.
        k: From 1 to the number of candidates.
        candidates: Which elements count, bool; a tensor of `values` may broadcast to its
            entry here and then counts as often as it is repeated. Default: all.

    Returns:
        A 0-dimensional tensor, float64 if any input is, else float32.

    Raises:
        BudgetError: Fewer than `k` candidates, or `k < 1`.
        RunError: A value is not a number.
        ConfigError: Shapes or types that do not fit.
    """
    if candidates is None:
        candidates = [torch.ones_like(v, dtype=torch.bool) for v in values]
    _check_candidates(candidates)
    _check_count(k, candidates, least=1)
    return _find(_aligned(values, candidates), k, candidates).threshold


def top_k(
    primary: Sequence[Tensor],
    k: int,
    *,
    candidates: Sequence[Tensor],
    tie: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    """Choose exactly k candidates: largest primary, then largest tie, then lowest index.

    Args:
        primary: Scores, floating, without NaN, each broadcastable to its candidates; what is
            constant along an axis is cheapest with length 1 there.
        k: How many, from 0 to the number of candidates.
        candidates: bool tensors, the elements to choose among.
        tie: Scores that decide between equal primary scores, as `primary`. None: index only.

    Returns:
        New bool tensors, shaped as the candidates, with exactly k entries set in all.

    Raises:
        BudgetError: Fewer than `k` candidates, or `k < 0`.
        RunError: A score is not a number.
        ConfigError: Shapes or types that do not fit.

    Source: method, sections 2 (ties) and 3.
    """
    _check_candidates(candidates)
    available = _check_count(k, candidates, least=0)
    levels = [_aligned(level, candidates) for level in (primary, tie) if level is not None]
    chosen = [torch.zeros_like(c) for c in candidates]
    open_ = list(candidates)
    for scores in levels:
        if k in (0, available):
            break
        threshold, k, available = _find(scores, k, open_)
        for done, s, c in zip(chosen, scores, open_, strict=True):
            done |= (s > threshold) & c
        open_ = [(s == threshold) & c for s, c in zip(scores, open_, strict=True)]
    if k:
        for done, first in zip(chosen, _first(open_, k), strict=True):
            done |= first
    return chosen


def keep_and_regrow(
    saliency: Sequence[Tensor],
    live: Sequence[Tensor],
    growth: Sequence[Tensor] | None,
    *,
    keep: int,
    grow: int,
    tie: Sequence[Tensor],
) -> Selection:
    """Keep the most salient live weights, then bring back the most critical of all others.

    A dead weight can come back by regrowth only; a weight dropped in this very event may return
    at once. Where fewer weights live than shall be kept, all are kept and regrowth makes up the
    difference, so that exactly `keep + grow` live afterwards.

    Args:
        saliency: What to keep, larger first; broadcastable to `live`.
        live: bool, before the event.
        growth: What to bring back, larger first; broadcastable to `live`. None: no regrowth.
        keep: How many live weights to keep.
        grow: How many weights to bring back.
        tie: `|w|` just before the event, for ties of either score.

    Returns:
        The kept and the regrown set.

    Raises:
        BudgetError: There are not `keep + grow` weights, or regrowth is needed without a score.
        RunError: A score is not a number.
        ConfigError: Shapes or types that do not fit.

    Source: method, section 3, steps 3 and 4 (Algorithm 1), and section 4, step 2 (Algorithm 2).
    """
    _check_candidates(live)
    kept_count = min(keep, sum(int(m.count_nonzero()) for m in live))
    grown_count = keep + grow - kept_count
    kept = top_k(saliency, kept_count, candidates=live, tie=tie)
    if growth is None:
        if grown_count:
            raise BudgetError(
                f"{keep + grow} weights shall live, but only {kept_count} are live to be kept "
                "and regrowth is off; choose a regrowth score or a lower density"
            )
        return Selection(kept, [torch.zeros_like(m) for m in kept])
    return Selection(kept, top_k(growth, grown_count, candidates=[~m for m in kept], tie=tie))


def _check_candidates(candidates: Sequence[Tensor]) -> None:
    for mask in candidates:
        if mask.dtype != torch.bool or mask.ndim == 0:
            raise ConfigError(
                f"expected bool tensors of candidates with an axis, got {mask.dtype} "
                f"of shape {tuple(mask.shape)}"
            )


def _check_count(k: int, candidates: Sequence[Tensor], *, least: int) -> int:
    available = sum(int(c.count_nonzero()) for c in candidates)
    if not least <= k <= available:
        raise BudgetError(
            f"expected to choose {least} to {available} of {available} candidates, got {k}; "
            "change the density or the floors"
        )
    return available


def _aligned(scores: Sequence[Tensor], candidates: Sequence[Tensor]) -> list[Tensor]:
    """Give all scores one dtype and the rank of their candidates, and refuse what is unsound."""
    if len(scores) != len(candidates):
        raise ConfigError(f"expected {len(candidates)} tensors of scores, got {len(scores)}")
    dtype = reduce(torch.promote_types, [s.dtype for s in scores], torch.float32)
    aligned = []
    for s, c in zip(scores, candidates, strict=True):
        shape = (1,) * (c.ndim - s.ndim) + tuple(s.shape)
        fits = len(shape) == c.ndim and all(
            a in (1, b) for a, b in zip(shape, c.shape, strict=True)
        )
        if not fits or dtype not in _KEYS:
            raise ConfigError(
                f"expected real scores that broadcast to {tuple(c.shape)}, "
                f"got {s.dtype} of shape {tuple(s.shape)}"
            )
        if s.numel() and bool(s.detach().amax().isnan()):  # amax passes NaN on
            raise RunError("a score is not a number; the training has diverged")
        aligned.append(s.detach().to(dtype).reshape(shape))
    return aligned


def _find(scores: Sequence[Tensor], k: int, candidates: Sequence[Tensor]) -> _Found:
    """Radix selection of the k-th largest, from the highest 16 bits of the keys to the lowest."""
    pairs = zip(scores, candidates, strict=True)
    pool = [(s, _multiplicity(c, s.shape)) for s, c in pairs if bool(c.any())]
    key_type = _KEYS[pool[0][0].dtype]
    low = -_BINS // 2  # the smallest key of the range that is still open, shifted
    for shift in range(torch.iinfo(key_type).bits - 16, -1, -16):
        counts = _histogram(pool, shift, low)
        reached = counts.flip(0).cumsum(0)
        place = int(torch.searchsorted(reached, k))
        equal = int(counts[-1 - place])
        k -= int(reached[place]) - equal
        prefix = low + _BINS - 1 - place
        low = prefix << 16
    device = pool[0][0].device
    threshold = _ordered(torch.tensor([prefix], dtype=key_type, device=device))
    return _Found(threshold.view(pool[0][0].dtype)[0], k, equal)


def _multiplicity(candidates: Tensor, shape: torch.Size) -> Tensor:
    """How many candidates share each score: the mask itself, or counts over constant axes."""
    dims = [i for i, (a, b) in enumerate(zip(shape, candidates.shape, strict=True)) if a != b]
    return candidates.sum(dims, keepdim=True, dtype=torch.int32) if dims else candidates


def _ordered(bits: Tensor) -> Tensor:
    """Map float bits, seen as signed integers, to integers of the same order (or back)."""
    info = torch.iinfo(bits.dtype)
    return (bits >> (info.bits - 1)).bitwise_and_(info.max).bitwise_xor_(bits)


def _histogram(pool: Sequence[tuple[Tensor, Tensor]], shift: int, low: int) -> Tensor:
    """Count the digits `(key >> shift) - low` that lie in [0, BINS): those still open."""
    bins = _BINS + 2  # one more at either end: 0 for lower keys and no candidates, the last higher
    counts = torch.zeros(bins, dtype=torch.int64, device=pool[0][0].device)
    for scores, multiplicity in pool:
        rows = max(1, _CHUNK * len(scores) // max(scores.numel(), 1))
        chunks = zip(torch.split(scores, rows), torch.split(multiplicity, rows), strict=True)
        for values, weights in chunks:
            bits = (values + 0.0).view(_KEYS[values.dtype])  # + 0.0: -0.0 equals 0.0
            digits = (_ordered(bits) >> shift).sub_(low).clamp_(-1, _BINS).add_(1)
            slots = (digits * weights.bool()).flatten()
            if weights.dtype == torch.bool:
                counts += torch.bincount(slots, minlength=bins)
            else:
                counts.index_add_(0, slots, weights.flatten().to(torch.int64))
    return counts[1:-1]


def _first(masks: Sequence[Tensor], k: int) -> list[Tensor]:
    """Keep the first k set entries of the masks, in index order."""
    taken = []
    for mask in masks:
        count = int(mask.count_nonzero())
        if count > k:
            flat = mask.reshape(-1)
            mask = (flat & (flat.cumsum(0, dtype=torch.int32) <= k)).view(mask.shape)
        taken.append(mask)
        k -= min(count, k)
    return taken
