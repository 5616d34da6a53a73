"""The event of channel pruning with regrowth: Algorithm 2 (method, section 4) under a budget."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from spikeprune.errors import BudgetError
from spikeprune.pruning.channels.channel_cost import CostModel
from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.selection import BudgetUse, Selection
from spikeprune.pruning.two_budgets import spend_both
from spikeprune.science.allocation import floor_share
from spikeprune.science.saliency import marginal_value
from spikeprune.science.select import top_k

Scores = Mapping[str, Tensor]


def choose_channels(
    saliency: Mapping[str, Tensor],
    regrowth: Mapping[str, Tensor] | None,
    costs: Sequence[CostModel],
    options: PruneOptions,
) -> Selection:
    """Choose the live channels of the largest cost within the budget (section 4, step 2).

    Channels are ranked over all groups; floor(r C) of the C live ones come by regrowth. With
    groups of cost 1 exactly C = floor((1 - sparsity) x total) live; with dearer ones (tied
    channels, MACs) the gap to the budget is smaller than the next channel's cost. Under allocation
    `budget` both scores are divided by what the channel costs in the whole net.

    Scores are `[n]` by group: the lowest `saliency` is dropped first, the highest `regrowth`
    brought back first. `costs` has the cost in the unit of the budget, then that of a second one.

    Raises:
        BudgetError: the floors alone exceed a budget; it says what could be met.
    """
    whole = {name: torch.ones_like(s, dtype=torch.bool) for name, s in saliency.items()}
    shares = (1 - options.sparsity, *options.within.values())
    totals = [cost(whole) for cost in costs]
    allowed = [share * total * (1 + 1e-9) for share, total in zip(shares, totals, strict=True)]

    def uses(selection: Selection) -> tuple[BudgetUse, ...]:
        rows = zip(costs, allowed, totals, strict=True)
        return tuple(BudgetUse(c.unit, c(selection.live), most, total) for c, most, total in rows)

    def with_count(count: int, drop: Scores, grow: Scores | None) -> Selection:
        chosen = _choose(drop, grow, count, options)
        selection, forced = _fitted(chosen, drop, options)
        first, *further = uses(selection)
        use = replace(first, forced=forced, within=tuple(further))
        return replace(selection, budget=use)

    def fitted(mix: float) -> Selection:
        drop, grow = saliency, regrowth
        if options.allocation == "budget":
            each = _mixed(costs, allowed, {name: len(s) for name, s in saliency.items()}, mix)
            drop = marginal_value(saliency, each)
            grow = None if regrowth is None else marginal_value(regrowth, each)
        low, high = 0, sum(len(score) for score in drop.values())
        if not _meets(fewest := with_count(low, drop, grow)):
            raise _too_small(fewest, options)
        while low < high:
            middle = (low + high + 1) // 2
            met = _meets(with_count(middle, drop, grow))
            low, high = (middle, high) if met else (low, middle - 1)
        return with_count(low, drop, grow)

    both = len(costs) == 2 and options.allocation == "budget"
    return spend_both(fitted) if both else fitted(0.0)


def _mixed(
    costs: Sequence[CostModel], allowed: Sequence[float], sizes: Mapping[str, int], share: float
) -> dict[str, Tensor]:
    """Return the cost of each channel, or two costs in a mix, each as a share of its budget.

    A channel that costs nothing costs a little, so that its score decides.
    """
    parts = (1 - share, share)[: len(costs)]
    each = [cost.of_channels(sizes) for cost in costs]
    mix = {
        name: sum(
            (p / most * one[name] for p, most, one in zip(parts, allowed, each, strict=True)),
            torch.zeros(size, dtype=torch.float64),
        )
        for name, size in sizes.items()
    }
    least = 1e-6 * max(float(cost.max()) for cost in mix.values())
    return {name: cost.clamp_min(least or 1.0) for name, cost in mix.items()}


def _meets(selection: Selection) -> bool:
    return all(use.cost <= use.allowed for use in selection.uses)


def _too_small(fewest: Selection, options: PruneOptions) -> BudgetError:
    use = max(fewest.uses, key=lambda use: use.used)
    return BudgetError(
        f"the floors alone exceed the budget: {options.channels.floor} channel(s) per layer, "
        f"{options.least_share:g} of a uniform allocation, multiples of "
        f"{options.channels.round_to}, with what is left whole, cost {use.cost:.6g}, more than "
        f"{use.allowed:.6g} of {use.total:.6g} {use.unit}; the highest sparsity that this net "
        f"allows is {use.highest_sparsity}: lower the sparsity, or the floors"
    )


def _choose(
    saliency: Mapping[str, Tensor],
    regrowth: Mapping[str, Tensor] | None,
    count: int,
    options: PruneOptions,
) -> Selection:
    """Choose `count` channels by saliency and regrowth alone."""
    grow = floor_share(options.fraction, count) if regrowth is not None else 0
    scores = list(saliency.values())
    every = [torch.ones_like(score, dtype=torch.bool) for score in scores]
    kept = top_k(scores, count - grow, candidates=every, tie=None)
    regrown = [torch.zeros_like(mask) for mask in kept]
    if regrowth is not None and grow:
        rest = [~mask for mask in kept]
        regrown = top_k([regrowth[name] for name in saliency], grow, candidates=rest, tie=scores)
    return Selection(
        dict(zip(saliency, kept, strict=True)), dict(zip(saliency, regrown, strict=True))
    )


def _fitted(
    chosen: Selection, saliency: Mapping[str, Tensor], options: PruneOptions
) -> tuple[Selection, dict[str, int]]:
    """Fit a choice to floors and rounding; return also the channels that these added, by group."""
    kept: dict[str, Tensor] = {}
    regrown: dict[str, Tensor] = {}
    forced: dict[str, int] = {}
    for name, score in saliency.items():
        live, grow = chosen.live[name], chosen.regrown[name]
        count = int(live.sum())
        wanted = _allowed_count(count, len(score), options)
        # Chosen channels go first, by saliency; a regrown one stays regrown.
        order = score.double().argsort(stable=True).argsort() + 1 + len(score) * live
        stay = torch.zeros_like(live)
        stay[order.argsort(descending=True)[:wanted]] = True
        kept[name], regrown[name] = stay & ~grow, stay & grow
        if wanted > count:
            forced[name] = wanted - count
    return Selection(kept, regrown), forced


def _allowed_count(count: int, size: int, options: PruneOptions) -> int:
    """Round a channel count down to the multiple asked for, not below the floors.

    Costs are products of two shares of channels, so a uniform allocation keeps the root of the
    budget's share.
    """
    step, uniform = options.channels.round_to, math.sqrt(1 - options.sparsity)
    least = max(options.channels.floor, math.ceil(options.least_share * uniform * size))
    floor = min(size, -(-least // step) * step)
    return min(size, max(floor, count // step * step if count < size else count))
