"""From one density for the whole net to the number of live weights in each tensor."""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor

from spikeprune.errors import BudgetError, ConfigError, require_one_of, unknown_name
from spikeprune.science.memory_order import live_count
from spikeprune.science.ranked_values import Ranked
from spikeprune.science.select import top_counts, top_k

SHARES: dict[str, Callable[[str, Sequence[int]], float]] = {
    "uniform": lambda layer, shape: math.prod(shape),
    "erk": lambda layer, shape: sum(shape),
}
"""Allocations beside `global`: from layer name and weight shape to the layer's share of the live
weights, up to a factor that all layers have in common."""

Shapes = Mapping[str, Sequence[int]]
Limits = Mapping[str, tuple[float, float]]


class _Bounds(NamedTuple):
    low: list[int]
    high: list[int]


def floor_share(fraction: float, count: int) -> int:
    """Return floor(fraction x count) of the decimal fraction that was meant (0.29 x 100 is 29)."""
    return int(Fraction(fraction).limit_denominator(10**9) * count)


def kept_counts(
    shapes: Shapes,
    density: float,
    *,
    allocation: str = "global",
    saliency: Mapping[str, Ranked] | None = None,
    live: Mapping[str, Tensor] | None = None,
    limits: Limits | None = None,
) -> dict[str, int]:
    """Return the number of live weights of each tensor; the sum is exactly `round(density * N)`.

    `global`: each tensor's share of the most salient weights of all tensors (ties: mapping
    order, then flat index). `uniform`: equal density everywhere. `erk`: density proportional to
    `sum(shape) / prod(shape)`; a tensor that would exceed its size is set dense and the rest is
    rescaled. The last two are rounded by largest remainder. Under limits, the scale (or the
    global threshold) is the one that meets the total with every count within its limits.

    Args:
        shapes: Shape of each prunable tensor, by name; the order matters for ties.
        density: Live / prunable weights, in [0, 1].
        allocation: `global` or a name of `SHARES`.
        saliency: A score for every weight, by the names of `shapes`; for `global`.
        live: bool, by the same names. Live weights rank above all others, whatever their score;
            the others rank by index. None: all live.
        limits: Lowest and highest density by tensor name. Counts are rounded inwards (up, then
            down), and up where no whole number lies between.

    Raises:
        ConfigError: Unknown allocation or name, density or limits outside [0, 1], a lower above
            an upper limit, or `global` without a saliency that fits.
        BudgetError: The limits do not allow the total.

    Source: method, section 3; Evci et al., Rigging the Lottery, 2020 (ERK).
    """
    if allocation not in ("global", *SHARES):
        raise unknown_name("allocation", allocation, ("global", *SHARES))
    if not 0.0 <= density <= 1.0:
        raise ConfigError(f"expected a density in [0, 1], got {density}")
    sizes = [math.prod(shape) for shape in shapes.values()]
    total = round(density * sum(sizes))
    bounds = _bounds(shapes, sizes, limits or {})
    least, most = sum(bounds.low), sum(bounds.high)
    if not least <= total <= most:
        raise BudgetError(
            f"{total} weights shall live, but the density limits allow {least} to {most}; "
            "change the sparsity or widen the limits"
        )
    if allocation == "global":
        scores = _ordered(shapes, saliency)
        masks = [
            torch.ones(shape, dtype=torch.bool, device=score.device) if live is None else live[name]
            for (name, shape), score in zip(shapes.items(), scores, strict=True)
        ]
        counts = _global(scores, masks, bounds, total)
    else:
        shares = [Fraction(SHARES[allocation](name, shape)) for name, shape in shapes.items()]
        counts = _round(_fill(shares, bounds, total), total)
    return dict(zip(shapes, counts, strict=True))


def limit_counts(limits: tuple[float, float], size: int) -> tuple[int, int]:
    """Return the fewest and the most live of `size` weights at densities within the limits.

    They are rounded inwards; where no whole number lies between, both are the one above.
    """
    # Decimal fractions as the user wrote them: ceil(0.1 * 30) in binary floating point is 4.
    low, high = (Fraction(limit).limit_denominator(10**9) for limit in limits)
    least = math.ceil(low * size)
    return least, max(least, math.floor(high * size))


def _bounds(shapes: Shapes, sizes: list[int], limits: Limits) -> _Bounds:
    for name, (low, high) in limits.items():
        require_one_of("tensor in the density limits", name, shapes)
        if not 0.0 <= low <= high <= 1.0:
            raise ConfigError(
                f"expected density limits 0 <= low <= high <= 1 for {name!r}, got {(low, high)}"
            )
    pairs = [limits.get(name, (0.0, 1.0)) for name in shapes]
    counts = [limit_counts(pair, size) for pair, size in zip(pairs, sizes, strict=True)]
    return _Bounds([least for least, _ in counts], [most for _, most in counts])


def _ordered(shapes: Shapes, saliency: Mapping[str, Ranked] | None) -> list[Ranked]:
    if saliency is None or saliency.keys() != shapes.keys():
        given = "none" if saliency is None else ", ".join(saliency)
        raise ConfigError(
            f"global allocation needs a saliency for each of: {', '.join(shapes)}; got: {given}"
        )
    for name, shape in shapes.items():
        if tuple(saliency[name].shape) != tuple(shape):
            raise ConfigError(
                f"expected a saliency of shape {tuple(shape)} for {name!r}, "
                f"got {tuple(saliency[name].shape)}"
            )
    return [saliency[name] for name in shapes]


def _global(saliency: list[Ranked], live: list[Tensor], bounds: _Bounds, total: int) -> list[int]:
    """Give each tensor its lower limit, then the best weights below the upper limits the rest."""
    eligible: list[Tensor | None] = []
    for score, mask, low, high in zip(saliency, live, *bounds, strict=True):
        if (low, high) == (0, mask.numel()):
            eligible.append(None)  # all of it
            continue
        allowed = _live_first(score, mask, high)
        eligible.append(allowed.bitwise_and_(~_live_first(score, mask, low)))
    inside = [m if e is None else m & e for m, e in zip(live, eligible, strict=True)]
    wanted = total - sum(bounds.low)
    alive = [live_count(m) for m in inside]
    chosen = top_counts(saliency, min(wanted, sum(alive)), candidates=inside)
    left = wanted - sum(chosen)
    counts = []
    for low, count, full, e, mask in zip(bounds.low, chosen, alive, eligible, live, strict=True):
        dead = (mask.numel() if e is None else live_count(e)) - full
        counts.append(low + count + min(left, dead))
        left -= min(left, dead)
    return counts


def _live_first(score: Ranked, live: Tensor, k: int) -> Tensor:
    """Choose k weights of one tensor: the best live ones, then dead ones by index."""
    alive = live_count(live)
    (chosen,) = top_k([score], min(k, alive), candidates=[live])
    if k > alive:
        same = torch.zeros((1,) * live.ndim, device=live.device)
        (more,) = top_k([same], k - alive, candidates=[~live])
        chosen.bitwise_or_(more)
    return chosen


def _fill(shares: list[Fraction], bounds: _Bounds, total: int) -> list[Fraction]:
    """Scale the shares by the one factor at which, clipped to the bounds, they sum to `total`.

    The sum is piecewise linear in the factor and bends where a share meets a bound; with exact
    fractions, rounding cannot pick the wrong segment.
    """

    def filled(scale: Fraction) -> list[Fraction]:
        terms = zip(shares, *bounds, strict=True)
        return [
            min(max(scale * share, Fraction(low)), Fraction(high)) for share, low, high in terms
        ]

    def level(scale: Fraction) -> Fraction:
        return sum(filled(scale), Fraction(0))

    terms = list(zip(shares, *bounds, strict=True))
    bends = sorted({Fraction(bound) / share for share, *pair in terms for bound in pair})
    place = bisect_left(bends, Fraction(total), key=level)
    if place == 0:
        return filled(bends[0])
    left, right = bends[place - 1], bends[place]
    return filled(left + (right - left) * (total - level(left)) / (level(right) - level(left)))


def _round(targets: list[Fraction], total: int) -> list[int]:
    """Round to whole numbers of the given sum: largest remainders up, ties by order."""
    counts = [math.floor(target) for target in targets]
    order = sorted(range(len(counts)), key=lambda i: counts[i] - targets[i])
    for i in order[: total - sum(counts)]:
        counts[i] += 1
    return counts
