"""Weight pruning under a budget of synaptic operations: the density that meets it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from spikeprune.errors import BudgetError
from spikeprune.pruning.weights.choose_weights import WeightEvent
from spikeprune.science.cost import conv_fan_out


@dataclass(frozen=True)
class SynopsCost:
    """SynOps per sample over all T of masked layers, from what their weights read.

    Attributes:
        reads: `[C_in, *kernel]` by layer, per sample, counted just before the event (see
            `measuring.weight_operands`).
    """

    reads: Mapping[str, Tensor]

    def __call__(self, live: Mapping[str, Tensor]) -> float:
        """Return the cost when `live` (bool by layer) lives."""
        return sum(self._layer(name, mask) for name, mask in live.items())

    def _layer(self, name: str, mask: Tensor) -> float:
        reads = self.reads[name].to(mask.device)
        groups = len(reads) // mask.shape[1]
        return float((reads * conv_fan_out(mask, groups)).sum())

    def total(self, live: Mapping[str, Tensor]) -> float:
        """Return the cost when all of the same layers live."""
        return self({name: mask.new_ones(mask.shape) for name, mask in live.items()})


class Choose(Protocol):
    """An event of weight pruning as a function of the density after it."""

    def __call__(self, *, density: float) -> WeightEvent:
        """Choose what lives."""


def fit_budget(
    choose: Choose,
    cost: SynopsCost,
    live: Mapping[str, Tensor],
    *,
    most: int,
    share: float,
    dense_synops: Mapping[str, float] | None = None,
) -> tuple[float, dict[str, Any]]:
    """Return the largest density, whose outcome costs at most the budget.

    Args:
        choose: the event; the same scores at every density.
        cost: SynOps of what lives, by what the layers read now.
        live: what lives before the event.
        most: weights that may live after it.
        share: that the budget is of the dense net's SynOps.
        dense_synops: the dense net's SynOps per sample by layer. None: what this net would take if
            everything lived, by what its layers read now.

    Returns:
        The density, and what the record of the event says of it: `budget`, `cost`, `allowed` and
        `total`; the gap is smaller than what one more live weight costs, as far as a larger
        density costs more.

    Raises:
        BudgetError: a single live weight exceeds the budget.
    """
    size = sum(mask.numel() for mask in live.values())
    total = cost.total(live)
    if dense_synops is not None:
        total = sum(dense_synops[name] for name in live)
    allowed = share * total * (1 + 1e-9)

    def spent(count: int) -> float:
        return cost(choose(density=count / size).live)

    count = _largest_within(spent, most, allowed)
    if count is None:
        raise BudgetError(
            f"a single live weight exceeds the budget of {allowed:.6g} of {total:.6g} SynOps; "
            "lower the sparsity"
        )
    details = {"budget": "synops", "cost": spent(count), "allowed": allowed, "total": total}
    return count / size, details | {"forced": {}}


def _largest_within(spent: Callable[[int], float], most: int, allowed: float) -> int | None:
    """Return the largest of 1..`most` that spends at most `allowed`; None if even 1 spends more.

    An event is dear and its cost nearly linear in the count, so every other guess is drawn on the
    straight line between the two bounds, and the others halve what is left.
    """
    low, high = 1, most
    ends = [spent(low), spent(high)]
    if ends[1] <= allowed:
        return most
    if ends[0] > allowed:
        return None
    halve = False
    while high - low > 1:
        line = low + int((allowed - ends[0]) / (ends[1] - ends[0]) * (high - low))
        guess = (low + high) // 2 if halve else min(max(line, low + 1), high - 1)
        halve, value = not halve, spent(guess)
        if value <= allowed:
            low, ends[0] = guess, value
        else:
            high, ends[1] = guess, value
    return low
