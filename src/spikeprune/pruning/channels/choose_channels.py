"""The event of channel pruning with regrowth: Algorithm 2 (method, section 4) under a budget."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spikeprune.errors import BudgetError
from spikeprune.pruning.channels.channel_cost import CostModel
from spikeprune.pruning.options import ChannelOptions, PruneOptions, floor_share
from spikeprune.science.select import top_k

Live = dict[str, Tensor]


@dataclass(frozen=True)
class ChannelEvent:
    """Outcome of the event, one boolean tensor [n] per group of tied channels.

    `cost` is at most `budget` (unit: the option's); `forced` counts the channels that floors or
    rounding brought back.
    """

    kept: Live
    regrown: Live
    cost: float
    budget: float
    total: float
    forced: dict[str, int]

    @property
    def live(self) -> Live:
        """Kept or regrown."""
        return {name: kept | self.regrown[name] for name, kept in self.kept.items()}


class _Chooser:
    """Which channels live when `count` of them may, before and after floors and rounding."""

    def __init__(
        self, ranking: Mapping[str, Tensor], growth: Mapping[str, Tensor] | None, fraction: float
    ) -> None:
        self.names = tuple(ranking)
        self.ranking = [ranking[name] for name in self.names]
        self.growth = [growth[name] for name in self.names] if growth is not None else None
        self.fraction = fraction if growth is not None else 0.0

    def choose(self, count: int) -> tuple[list[Tensor], list[Tensor]]:
        grow = floor_share(self.fraction, count)
        every = [torch.ones_like(r, dtype=torch.bool) for r in self.ranking]
        kept = top_k(self.ranking, count - grow, candidates=every, tie=None)
        if self.growth is None or grow == 0:
            return kept, [torch.zeros_like(k) for k in kept]
        rest = [~k for k in kept]
        return kept, top_k(self.growth, grow, candidates=rest, tie=self.ranking)

    def fitted(self, count: int, options: ChannelOptions) -> tuple[Live, Live, dict[str, int]]:
        """Return kept, regrown and how many channels floors and rounding added, per group."""
        kept: Live = {}
        regrown: Live = {}
        forced: dict[str, int] = {}
        rows = zip(self.names, self.ranking, *self.choose(count), strict=True)
        for name, rank, keep, grow in rows:
            chosen = int((keep | grow).sum())
            wanted = _allowed(chosen, len(rank), options)
            # Chosen channels go first, in the order of their rank; a regrown one stays regrown.
            order = (rank.double().argsort(stable=True).argsort() + 1) + len(rank) * (keep | grow)
            stay = torch.zeros_like(keep)
            stay[order.argsort(descending=True)[:wanted]] = True
            kept[name], regrown[name] = stay & ~grow, stay & grow
            if wanted > chosen:
                forced[name] = wanted - chosen
        return kept, regrown, forced


def _allowed(count: int, size: int, options: ChannelOptions) -> int:
    """Round a channel count down to the multiple asked for, not below the floor."""
    step = options.round_to
    floor = min(size, -(-options.floor // step) * step)
    return min(size, max(floor, count // step * step if count < size else count))


def prune_channels(
    ranking: Mapping[str, Tensor],
    growth: Mapping[str, Tensor] | None,
    cost: CostModel,
    options: PruneOptions,
) -> ChannelEvent:
    """Choose the channels that live: the largest cost not above the budget (section 4, step 2).

    Channels are ranked over all groups; of those that live, floor(r C) come by regrowth. With
    groups of cost 1 exactly C = floor((1 - sparsity) x total) live; with dearer ones (tied
    channels, MACs) the gap to the budget is smaller than the next channel's cost.

    Raises:
        BudgetError: floors alone exceed the budget.
    """
    chooser = _Chooser(ranking, growth, options.fraction)
    total = cost({name: torch.ones_like(r, dtype=torch.bool) for name, r in ranking.items()})
    budget = (1 - options.sparsity) * total * (1 + 1e-9)

    def fits(count: int) -> bool:
        kept, regrown, _ = chooser.fitted(count, options.channels)
        return cost({name: kept[name] | regrown[name] for name in kept}) <= budget

    if not fits(0):
        raise BudgetError(
            f"the floors alone exceed the budget: {options.channels.floor} channel(s) per layer "
            f"(multiples of {options.channels.round_to}) cost more than {budget:.6g} of "
            f"{total:.6g} {options.channels.budget}; lower the sparsity ({options.sparsity}) or "
            "the floor"
        )
    low, high = 0, sum(len(r) for r in ranking.values())
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    kept, regrown, forced = chooser.fitted(low, options.channels)
    spent = cost({name: kept[name] | regrown[name] for name in kept})
    return ChannelEvent(kept, regrown, spent, budget, total, forced)
