"""Exactly k elements of a pool of tensors, and the keep-and-regrow step of an event.

The order is total, so every machine chooses the same elements: by score, then by a tie score (the
weight's magnitude just before the event), then by the lowest index (tensor order, then flat index).
A pool of 100 million weights is neither copied nor sorted (see `science.ranked_values`): an event
needs one bool per weight.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spikeprune.errors import BudgetError, ConfigError
from spikeprune.science.memory_order import live_count
from spikeprune.science.ranked_values import (
    Ranked,
    aligned,
    chunk_size,
    find_threshold,
    passing,
)


class Selection(NamedTuple):
    """The live weights after an event, as two disjoint sets, in the order of the tensors given."""

    kept: list[Tensor]  # bool, live before and after the event
    regrown: list[Tensor]  # bool, brought back


def top_k(
    primary: Sequence[Ranked],
    k: int,
    *,
    candidates: Sequence[Tensor],
    tie: Sequence[Ranked] | None = None,
) -> list[Tensor]:
    """Choose exactly k candidates: largest primary, then largest tie, then lowest index.

    Args:
        primary: Scores, floating, without NaN, each broadcastable to its candidates; a score that
            is constant along an axis is cheapest with length 1 there.
        k: How many, from 0 to the number of candidates.
        candidates: bool tensors, the elements to choose among.
        tie: Scores that decide between equal primary scores, as `primary`. None: index only.

    Returns:
        New bool tensors, shaped and laid out as the candidates, with k entries set in all.

    Raises:
        BudgetError: Fewer than `k` candidates, or `k < 0`.
        RunError: A score is NaN.
        ConfigError: Shapes or types do not fit.

    Source: method, sections 2 (ties) and 3.
    """
    _check_candidates(candidates)
    chosen = [c.clone() for c in candidates]
    _keep_best(chosen, k, primary, tie)
    return chosen


def top_counts(primary: Sequence[Ranked], k: int, *, candidates: Sequence[Tensor]) -> list[int]:
    """Return how many elements of each tensor `top_k` would choose, without making its masks."""
    _check_candidates(candidates)
    available = _check_count(k, candidates)
    scores = aligned(primary, candidates)
    if k in (0, available):
        return [live_count(c) if k else 0 for c in candidates]
    threshold, left, equal = find_threshold(scores, k, candidates)
    split = left < equal  # among the equal ones, the first by index
    counts = []
    for s, c in zip(scores, candidates, strict=True):
        test = torch.gt if split else torch.ge
        count = live_count(passing(s, c, threshold, test))
        if split and left:
            ties = min(left, live_count(passing(s, c, threshold, torch.eq)))
            count, left = count + ties, left - ties
        counts.append(count)
    return counts


def keep_and_regrow(
    saliency: Sequence[Ranked],
    live: Sequence[Tensor],
    growth: Sequence[Ranked] | None,
    *,
    keep: int,
    grow: int,
    tie: Sequence[Ranked],
) -> Selection:
    """Keep the most salient live weights, then bring back the best of all others.

    A dead weight can come back by regrowth only; a weight dropped in this event may return at once.
    If fewer than `keep` weights are live, all are kept and regrowth makes up the difference, so
    that exactly `keep + grow` are live afterwards.

    Args:
        saliency: What to keep, larger first; broadcastable to `live`.
        live: bool, before the event.
        growth: What to bring back, as `saliency`. None: no regrowth.
        keep: Number of live weights to keep.
        grow: Number of weights to bring back.
        tie: `|w|` just before the event, for ties of either score.

    Raises:
        BudgetError: There are not `keep + grow` weights, or regrowth is needed without a score.
        RunError: A score is NaN.
        ConfigError: Shapes or types do not fit.

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
    regrown = [~m for m in kept]
    _keep_best(regrown, grown_count, growth, tie)
    return Selection(kept, regrown)


def _check_candidates(candidates: Sequence[Tensor]) -> None:
    for mask in candidates:
        if mask.dtype != torch.bool or mask.ndim == 0:
            raise ConfigError(
                f"expected bool tensors of candidates with an axis, got {mask.dtype} "
                f"of shape {tuple(mask.shape)}"
            )


def _check_count(k: int, candidates: Sequence[Tensor]) -> int:
    available = sum(live_count(c) for c in candidates)
    if not 0 <= k <= available:
        raise BudgetError(
            f"expected to choose 0 to {available} of {available} candidates, got {k}; "
            "change the density or the floors"
        )
    return available


def _keep_best(
    masks: Sequence[Tensor], k: int, primary: Sequence[Ranked], tie: Sequence[Ranked] | None
) -> None:
    """Clear all but the best k set entries of the masks, in place."""
    available = _check_count(k, masks)
    levels = [aligned(scores, masks) for scores in (primary, tie) if scores is not None]
    if k == 0:
        for mask in masks:
            mask.zero_()
    elif k < available:
        _keep_best_by_levels(masks, k, levels)


def _keep_best_by_levels(
    masks: Sequence[Tensor], k: int, levels: Sequence[Sequence[Ranked]]
) -> None:
    """Do `_keep_best` for `0 < k <` the number of set entries and scores that are aligned."""
    if not levels:
        _keep_first(masks, k)
        return
    scores, *lower = levels
    threshold, missing, equal = find_threshold(scores, k, masks)
    if missing == equal:
        for score, mask in zip(scores, masks, strict=True):
            passing(score, mask, threshold, torch.ge, into=mask)
        return
    ties = _ties(scores, masks, threshold)
    for score, mask in zip(scores, masks, strict=True):
        passing(score, mask, threshold, torch.gt, into=mask)
    _keep_best_by_levels([*ties.values()], missing, [[s[i] for i in ties] for s in lower])
    for i, tied in ties.items():
        masks[i].bitwise_or_(tied)


def _ties(
    scores: Sequence[Ranked], masks: Sequence[Tensor], threshold: Tensor
) -> dict[int, Tensor]:
    """Return the entries equal to the threshold, by the index of the masks that have any."""
    ties = {}
    for i, (score, mask) in enumerate(zip(scores, masks, strict=True)):
        tied = passing(score, mask, threshold, torch.eq)
        if live_count(tied):
            ties[i] = tied
        del tied  # one at a time: a full set would cost memory
    return ties


def _keep_first(masks: Sequence[Tensor], k: int) -> None:
    """Clear all but the first k set entries, in place, in the index order of contiguous tensors."""
    for mask in masks:
        ordered = mask.contiguous()
        for part in torch.split(ordered.view(-1), chunk_size(mask)):
            count = live_count(part)
            if k == 0:
                part.zero_()
            elif count > k:
                part.bitwise_and_(part.cumsum(0, dtype=torch.int32) <= k)
            k -= min(count, k)
        mask.copy_(ordered)
