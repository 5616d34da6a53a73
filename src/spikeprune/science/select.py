"""Exactly k of a pool of tensors, and the keep-and-regrow step built on it.

The order is total, so the choice is the same everywhere: score, then a tie score (the weight's
magnitude just before the event), then the lowest index (tensor order, then flat index).
A pool of 100 million weights is neither copied nor sorted, see `science.threshold`; what an event
needs beside it is a bool for each weight.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from spikeprune.errors import BudgetError, ConfigError, RunError
from spikeprune.science.layout import live_count, memory_order
from spikeprune.science.threshold import Found, Strip, chunk_size, chunks, find

__all__ = [
    "Magnitude",
    "Score",
    "Selection",
    "keep_and_regrow",
    "kth_largest",
    "top_counts",
    "top_k",
]


class Magnitude(NamedTuple):
    """`|w|` as a score, computed piece by piece where it is read: a copy would cost memory.

    Attributes:
        weight: of any shape.
    """

    weight: Tensor

    @property
    def shape(self) -> torch.Size:
        """That of the weight."""
        return self.weight.shape

    @property
    def device(self) -> torch.device:
        """That of the weight."""
        return self.weight.device


Score = Tensor | Magnitude


class Selection(NamedTuple):
    """Result of an event, in the order of the tensors given; the two are disjoint.

    Attributes:
        kept: bool, shaped as the weights; live before and after.
        regrown: bool, shaped as the weights; live after by regrowth.
    """

    kept: list[Tensor]
    regrown: list[Tensor]


def kth_largest(
    values: Sequence[Score], k: int, *, candidates: Sequence[Tensor] | None = None
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
        candidates = [torch.ones(v.shape, dtype=torch.bool) for v in values]
    _check_candidates(candidates)
    _check_count(k, candidates, least=1)
    return _find(_aligned(values, candidates), k, list(candidates)).threshold


def top_k(
    primary: Sequence[Score],
    k: int,
    *,
    candidates: Sequence[Tensor],
    tie: Sequence[Score] | None = None,
) -> list[Tensor]:
    """Choose exactly k candidates: largest primary, then largest tie, then lowest index.

    Args:
        primary: Scores, floating, without NaN, each broadcastable to its candidates; what is
            constant along an axis is cheapest with length 1 there.
        k: How many, from 0 to the number of candidates.
        candidates: bool tensors, the elements to choose among.
        tie: Scores that decide between equal primary scores, as `primary`. None: index only.

    Returns:
        New bool tensors, shaped and laid out as the candidates, with exactly k entries set in all.

    Raises:
        BudgetError: Fewer than `k` candidates, or `k < 0`.
        RunError: A score is not a number.
        ConfigError: Shapes or types that do not fit.

    Source: method, sections 2 (ties) and 3.
    """
    _check_candidates(candidates)
    available = _check_count(k, candidates, least=0)
    levels = [_aligned(level, candidates) for level in (primary, tie) if level is not None]
    chosen: list[Tensor] | None = None
    open_: list[Tensor | None] = list(candidates)
    for scores in levels:
        if k in (0, available):
            break
        threshold, k, available = _find(scores, k, open_)
        test = torch.ge if k == available else torch.gt
        chosen = _united(chosen, _compared(scores, open_, threshold, test), candidates)
        if k == available:
            return chosen
        equal = _compared(scores, open_, threshold, torch.eq)
        open_ = [m if m is not None and live_count(m) else None for m in equal]
    return _united(chosen, _first(open_, k), candidates)


def top_counts(primary: Sequence[Score], k: int, *, candidates: Sequence[Tensor]) -> list[int]:
    """Count how many of each tensor are among the k largest of all; ties go by index.

    Arguments and errors are those of `top_k`, without its masks.
    """
    _check_candidates(candidates)
    available = _check_count(k, candidates, least=0)
    scores = _aligned(primary, candidates)
    if k in (0, available):
        return [live_count(c) if k else 0 for c in candidates]
    threshold, left, equal = _find(scores, k, list(candidates))
    split = left < equal  # among the equal ones, the first by index
    counts = []
    for s, c in zip(scores, candidates, strict=True):
        test = torch.gt if split else torch.ge
        count = live_count(_passing(s, c, threshold, test))
        if split and left:
            ties = min(left, live_count(_passing(s, c, threshold, torch.eq)))
            count, left = count + ties, left - ties
        counts.append(count)
    return counts


def keep_and_regrow(
    saliency: Sequence[Score],
    live: Sequence[Tensor],
    growth: Sequence[Score] | None,
    *,
    keep: int,
    grow: int,
    tie: Sequence[Score],
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
    kept_count = min(keep, sum(live_count(m) for m in live))
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
    available = sum(live_count(c) for c in candidates)
    if not least <= k <= available:
        raise BudgetError(
            f"expected to choose {least} to {available} of {available} candidates, got {k}; "
            "change the density or the floors"
        )
    return available


def _aligned(scores: Sequence[Score], candidates: Sequence[Tensor]) -> list[Score]:
    """Give all scores the rank of their candidates, and refuse what is unsound."""
    if len(scores) != len(candidates):
        raise ConfigError(f"expected {len(candidates)} tensors of scores, got {len(scores)}")
    aligned: list[Score] = []
    for score, c in zip(scores, candidates, strict=True):
        s = _values(score).detach()
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
        aligned.append(Magnitude(s) if isinstance(score, Magnitude) else s)
    return aligned


def _values(score: Score) -> Tensor:
    return score.weight if isinstance(score, Magnitude) else score


def _common_type(scores: Sequence[Score]) -> torch.dtype:
    return reduce(torch.promote_types, [_values(s).dtype for s in scores], torch.float32)


def _find(scores: Sequence[Score], k: int, candidates: Sequence[Tensor | None]) -> Found:
    pool = [
        _strip(score, c)
        for score, c in zip(scores, candidates, strict=True)
        if c is not None and c.numel()
    ]
    return find(pool, k, _common_type(scores))


def _strip(score: Score, candidates: Tensor) -> Strip:
    """Flatten in the order of memory; what repeats along an axis is there once, with its count."""
    values = _values(score)
    weights = candidates
    dims = [
        i for i, (a, b) in enumerate(zip(values.shape, candidates.shape, strict=True)) if a != b
    ]
    if dims:
        weights = _repeats(candidates, dims)
    order = memory_order(weights)
    flat = values.permute(order).reshape(-1), weights.permute(order).reshape(-1)
    return Strip(*flat, magnitude=isinstance(score, Magnitude))


def _repeats(mask: Tensor, dims: list[int]) -> Tensor:
    """Count what is set along axes, in chunks: sums of bool are many times slower than of float."""
    rows = max(1, chunk_size(mask) * len(mask) // mask.numel())
    parts = torch.split(mask.view(torch.uint8), rows)
    counts = [part.double().sum(dims, keepdim=True).to(torch.int64) for part in parts]
    return torch.stack(counts).sum(0) if 0 in dims else torch.cat(counts)


def _compared(
    scores: Sequence[Score],
    candidates: Sequence[Tensor | None],
    threshold: Tensor,
    test: Callable[..., Tensor],
) -> list[Tensor | None]:
    return [
        None if c is None else _passing(score, c, threshold, test)
        for score, c in zip(scores, candidates, strict=True)
    ]


def _passing(
    score: Score, candidates: Tensor, threshold: Tensor, test: Callable[..., Tensor]
) -> Tensor:
    """Return which candidates have a score that passes, laid out as they are."""
    values, passing = _values(score), torch.empty_like(candidates)
    if values.shape != candidates.shape:
        meant = values.abs() if isinstance(score, Magnitude) else values
        hit = test(meant.to(threshold.dtype), threshold)
        octets = [m.view(torch.uint8) for m in (candidates, hit, passing)]  # quicker than bool
        torch.mul(octets[0], octets[1], out=octets[2])
        return passing
    order = memory_order(passing)
    flat = values.permute(order).reshape(-1), candidates.permute(order).reshape(-1)
    strip = Strip(*flat, magnitude=isinstance(score, Magnitude))
    parts = torch.split(passing.permute(order).view(-1), chunk_size(values))
    for part, (x, counted) in zip(parts, chunks(strip, threshold.dtype), strict=True):
        test(x, threshold, out=part)
        part.bitwise_and_(counted)
    return passing


def _united(
    chosen: list[Tensor] | None, more: Sequence[Tensor | None], like: Sequence[Tensor]
) -> list[Tensor]:
    if chosen is None:  # what is returned is written to, the candidates are not
        chosen = [torch.zeros_like(c) if m is None else m for m, c in zip(more, like, strict=True)]
        return [m.clone() if m is c else m for m, c in zip(chosen, like, strict=True)]
    for done, m in zip(chosen, more, strict=True):
        if m is not None:
            done.bitwise_or_(m)
    return chosen


def _first(masks: Sequence[Tensor | None], k: int) -> list[Tensor | None]:
    """Keep the first k set entries of the masks, in index order."""
    taken: list[Tensor | None] = []
    for mask in masks:
        if mask is None or k == 0:
            taken.append(None)
            continue
        count = live_count(mask)
        taken.append(mask if count <= k else _first_of(mask, k))
        k -= min(count, k)
    return taken


def _first_of(mask: Tensor, k: int) -> Tensor:
    """Keep the first k set entries; index order is that of a contiguous tensor."""
    kept = mask.contiguous().clone()
    for part in torch.split(kept.view(-1), chunk_size(mask)):
        count = live_count(part)
        if count > k:
            part.bitwise_and_(part.cumsum(0, dtype=torch.int32) <= k)
        k -= min(count, k)
    return torch.empty_like(mask).copy_(kept)
