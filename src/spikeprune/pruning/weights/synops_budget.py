"""Weight pruning under a budget of synaptic operations: the density that meets it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from spikeprune.errors import BudgetError
from spikeprune.pruning.selection import BudgetUse, Selection


@dataclass(frozen=True)
class SynopsCost:
    """SynOps per sample over all T of masked layers.

    `weights` has the SynOps of every weight by layer (`science.cost.weight_costs`), as the net was
    just before the event.
    """

    weights: Mapping[str, Tensor]

    def __call__(self, live: Mapping[str, Tensor]) -> float:
        """Return the cost of the live weights, given as bool by layer."""
        return sum(_sum_where(self.weights[name], mask) for name, mask in live.items())


def _sum_where(cost: Tensor, live: Tensor) -> float:
    shared = [i for i, length in enumerate(cost.shape) if length != live.shape[i]]
    count = live.sum(shared, keepdim=True) if shared else live
    return float((cost * count).sum())


def fit_budget(
    choose: Callable[[float], Selection],
    cost: SynopsCost,
    live: Mapping[str, Tensor],
    *,
    most: int,
    share: float,
    dense_synops: Mapping[str, float] | None = None,
) -> Selection:
    """Return the selection of the largest density whose cost is at most the budget.

    The gap to the budget is smaller than the cost of one more live weight, as far as a larger
    density costs more.

    `choose` is the event, from the density after it, and `most` an upper bound on the live weights
    then. The budget is `share` of `dense_synops` (per sample, by layer), by default of the cost of
    the current net with every weight live.
    """
    size = sum(mask.numel() for mask in live.values())
    if dense_synops is None:
        total = cost({name: mask.new_ones(mask.shape) for name, mask in live.items()})
    else:
        total = sum(dense_synops[name] for name in live)
    allowed = share * total * (1 + 1e-9)

    def cost_of(count: int) -> float:
        return cost(choose(count / size).live)

    count = _largest_within(cost_of, most, allowed)
    if count is None:
        raise BudgetError(
            f"a single live weight exceeds the budget of {allowed:.6g} of {total:.6g} SynOps; "
            "lower the sparsity"
        )
    selection = choose(count / size)
    return replace(
        selection, budget=BudgetUse("synops", cost(selection.live), allowed=allowed, total=total)
    )


def _largest_within(cost_of: Callable[[int], float], most: int, allowed: float) -> int | None:
    """Return the largest of 1..`most` that costs at most `allowed`; None if even 1 costs more.

    An event is slow and its cost nearly linear in the count, so every other guess lies on the
    straight line between the two bounds, and the others halve the interval.
    """
    low, high = 1, most
    ends = [cost_of(low), cost_of(high)]
    if ends[1] <= allowed:
        return most
    if ends[0] > allowed:
        return None
    halve = False
    while high - low > 1:
        line = low + int((allowed - ends[0]) / (ends[1] - ends[0]) * (high - low))
        guess = (low + high) // 2 if halve else min(max(line, low + 1), high - 1)
        halve, value = not halve, cost_of(guess)
        if value <= allowed:
            low, ends[0] = guess, value
        else:
            high, ends[1] = guess, value
    return low
