"""Weight pruning under budgets of cost: the most live weights that meet them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from spikeprune.errors import BudgetError
from spikeprune.pruning.selection import BudgetUse, Selection


@dataclass(frozen=True)
class Budget:
    """A budget of a cost that adds up over live weights.

    `costs` has the cost of every weight by layer, broadcastable to the weight, as the net was just
    before the event. Where a score is divided by a cost, it counts as at least `least`.
    """

    unit: str
    costs: Mapping[str, Tensor]
    allowed: float
    total: float  # cost of the dense net
    least: float = 0.0

    def spent(self, live: Mapping[str, Tensor]) -> float:
        """Return the cost of the live weights, given as bool by layer."""
        return sum(_sum_where(self.costs[name], mask) for name, mask in live.items())

    def used(self, live: Mapping[str, Tensor]) -> float:
        """Return the share of the budget that the live weights spend."""
        return self.spent(live) / self.allowed

    def use(self, selection: Selection) -> BudgetUse:
        """Return how far a selection uses the budget."""
        spent = self.spent(selection.live)
        return BudgetUse(self.unit, spent, allowed=self.allowed, total=self.total)


def budget_of_share(
    unit: str,
    costs: Mapping[str, Tensor],
    live: Mapping[str, Tensor],
    *,
    share: float,
    dense: Mapping[str, float] | None = None,
    least: float = 0.0,
) -> Budget:
    """Return the budget of a share of the dense net's cost.

    `dense` has that cost by layer; None: the cost of the current net with every weight live, whose
    masks are `live`.
    """
    if dense is None:
        every = {name: mask.new_ones(()).expand(mask.shape) for name, mask in live.items()}
        total = Budget(unit, costs, 0.0, 0.0).spent(every)
    else:
        total = sum(dense[name] for name in live)
    return Budget(unit, costs, share * total * (1 + 1e-9), total, least)


def _sum_where(cost: Tensor, live: Tensor) -> float:
    shared = [i for i, length in enumerate(cost.shape) if length != live.shape[i]]
    count = live.sum(shared, keepdim=True) if shared else live
    return float((cost * count).sum())


def fit_budgets(
    choose: Callable[[int], Selection],
    budgets: Sequence[Budget],
    *,
    least: int,
    most: int,
) -> Selection:
    """Return the selection of the most live weights that spends at most every budget.

    The gap to the tightest budget is smaller than the cost of one more live weight, as far as more
    weights cost more. `choose` is the event, from the count of live weights after it; `least` is
    what floors keep and `most` an upper bound.

    Raises:
        BudgetError: the fewest live weights exceed a budget; it says what could be met.
    """

    def used(count: int) -> float:
        live = choose(count).live
        return max(one.used(live) for one in budgets)

    count = _largest_within(used, least, most)
    if count is None:
        fewest = choose(least)
        raise _too_small([one.use(fewest) for one in budgets], least)
    selection = choose(count)
    first, *further = (one.use(selection) for one in budgets)
    return replace(selection, budget=replace(first, within=tuple(further)))


def mixed(budgets: Sequence[Budget], share: float) -> dict[str, Tensor]:
    """Return the cost of every weight that its score is divided by, above 0, by layer.

    With a `share` above 0 it is a mix of two costs, each as a share of its budget, the second with
    this weight.
    """
    costs = [{n: cost.clamp_min(one.least) for n, cost in one.costs.items()} for one in budgets]
    if share in (0.0, 1.0):
        return costs[int(share)]
    first, second = ((1 - share) / budgets[0].allowed, share / budgets[1].allowed)
    return {name: first * cost + second * costs[1][name] for name, cost in costs[0].items()}


def _too_small(fewest: Sequence[BudgetUse], least: int) -> BudgetError:
    use = max(fewest, key=lambda use: use.used)
    what = "a single live weight costs"
    if least > 1:
        what = f"the {least:,} weights of the floors cost"
    return BudgetError(
        f"{what} {use.cost:.6g} {use.unit}, more than the budget of {use.allowed:.6g} of "
        f"{use.total:.6g}; the highest sparsity that this net allows is {use.highest_sparsity}: "
        "lower the sparsity, or the floor"
    )


def _largest_within(used: Callable[[int], float], low: int, high: int) -> int | None:
    """Return the largest count of `low`..`high` that uses at most 1; None if even `low` uses more.

    An event is slow and its cost nearly linear in the count, so every other guess lies on the
    straight line between the two bounds, and the others halve the interval.
    """
    ends = [used(low), used(high)]
    if ends[1] <= 1:
        return high
    if ends[0] > 1:
        return None
    halve = False
    while high - low > 1:
        line = low + int((1 - ends[0]) / (ends[1] - ends[0]) * (high - low))
        guess = (low + high) // 2 if halve else min(max(line, low + 1), high - 1)
        halve, value = not halve, used(guess)
        if value <= 1:
            low, ends[0] = guess, value
        else:
            high, ends[1] = guess, value
    return low
