"""The event of channel pruning with regrowth: Algorithm 2 (method, section 4) under a budget."""

from collections.abc import Mapping

import torch
from torch import Tensor

from spikeprune.errors import BudgetError
from spikeprune.pruning.channels.channel_cost import CostModel
from spikeprune.pruning.options import ChannelOptions, PruneOptions
from spikeprune.pruning.selection import BudgetUse, Selection
from spikeprune.science.allocation import floor_share
from spikeprune.science.select import top_k


def choose_channels(
    saliency: Mapping[str, Tensor],
    regrowth: Mapping[str, Tensor] | None,
    cost: CostModel,
    options: PruneOptions,
) -> Selection:
    """Choose the live channels of the largest cost within the budget (section 4, step 2).

    Channels are ranked over all groups; floor(r C) of the C live ones come by regrowth. With
    groups of cost 1 exactly C = floor((1 - sparsity) x total) live; with dearer ones (tied
    channels, MACs) the gap to the budget is smaller than the next channel's cost.

    Scores are `[n]` by group: the lowest `saliency` is dropped first, the highest `regrowth`
    brought back first.
    """
    total = cost({name: torch.ones_like(s, dtype=torch.bool) for name, s in saliency.items()})
    allowed = (1 - options.sparsity) * total * (1 + 1e-9)

    def with_count(count: int) -> tuple[Selection, float, dict[str, int]]:
        selection, forced = _fitted(_choose(saliency, regrowth, count, options), saliency, options)
        return selection, cost(selection.live), forced

    if with_count(0)[1] > allowed:
        raise BudgetError(
            f"the floors alone exceed the budget: {options.channels.floor} channel(s) per layer "
            f"(multiples of {options.channels.round_to}), with what is left whole, cost more than "
            f"{allowed:.6g} of "
            f"{total:.6g} {cost.unit}; lower the sparsity ({options.sparsity}) or the floor"
        )
    low, high = 0, sum(len(score) for score in saliency.values())
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if with_count(middle)[1] <= allowed else (low, middle - 1)
    selection, spent, forced = with_count(low)
    use = BudgetUse(cost.unit, spent, allowed=allowed, total=total, forced=forced)
    return Selection(selection.kept, selection.regrown, use)


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
        wanted = _allowed_count(count, len(score), options.channels)
        # Chosen channels go first, by saliency; a regrown one stays regrown.
        order = score.double().argsort(stable=True).argsort() + 1 + len(score) * live
        stay = torch.zeros_like(live)
        stay[order.argsort(descending=True)[:wanted]] = True
        kept[name], regrown[name] = stay & ~grow, stay & grow
        if wanted > count:
            forced[name] = wanted - count
    return Selection(kept, regrown), forced


def _allowed_count(count: int, size: int, options: ChannelOptions) -> int:
    """Round a channel count down to the multiple asked for, not below the floor."""
    step = options.round_to
    floor = min(size, -(-options.floor // step) * step)
    return min(size, max(floor, count // step * step if count < size else count))
