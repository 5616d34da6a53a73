"""Weight pruning under a budget of synaptic operations: the density that meets it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from spikeprune.engine.weight_pruning import WeightEvent
from spikeprune.engine.wiring import Wiring
from spikeprune.errors import BudgetError
from spikeprune.science.broadcast import per_input

__all__ = ["SynopsCost", "fit_budget"]


@dataclass(frozen=True)
class SynopsCost:
    """Expected SynOps per sample over all T of the prunable layers, from measured firing rates.

    A live weight reads its presynaptic channel at every output position and time step, so it costs
    rate x positions x T; borders, where convolutions read less, are counted like the rest. The
    count of an evaluated net is exact (`science.cost`).

    Attributes:
        wiring: which channels a layer reads.
        rates: firing rate [C] by neuron, measured just before the event.
        time_steps: T.
    """

    wiring: Wiring
    rates: Mapping[str, Tensor]
    time_steps: int

    def __call__(self, live: Mapping[str, Tensor]) -> float:
        """Return the cost when `live` (bool by layer) lives."""
        return sum(self._layer(name, mask) for name, mask in live.items())

    def _layer(self, name: str, mask: Tensor) -> float:
        positions = math.prod(self.wiring.layers[name].output_shape[1:])
        fan = mask.flatten(2).sum(2) if mask.ndim > 2 else mask
        reads = per_input(fan, self.wiring.source_rates(name, self.rates).double())
        return float((fan.to(reads) * reads).sum()) * positions * self.time_steps


class Choose(Protocol):
    """An event of weight pruning as a function of the density after it."""

    def __call__(self, *, density: float) -> WeightEvent:
        """Choose what lives."""


def fit_budget(
    choose: Choose, cost: SynopsCost, live: Mapping[str, Tensor], *, share: float
) -> tuple[float, dict[str, Any]]:
    """Return the largest density, whose outcome costs at most the budget.

    Args:
        choose: the event; the same scores at every density.
        cost: expected SynOps.
        live: what lives before the event; no more will afterwards.
        share: of the cost with all weights live, at the same firing rates.

    Returns:
        The density, and what the record of the event says of it: `budget`, `cost`, `allowed` and
        `total`; the gap is smaller than what one more live weight costs, as far as a larger
        density costs more.

    Raises:
        BudgetError: a single live weight exceeds the budget.
    """
    size = sum(mask.numel() for mask in live.values())
    total = cost({name: torch.ones_like(mask) for name, mask in live.items()})
    allowed = share * total * (1 + 1e-9)

    def spent(count: int) -> float:
        return cost(choose(density=count / size).live)

    alive = sum(int(mask.count_nonzero()) for mask in live.values())
    count = _largest_within(spent, alive, allowed)
    if count is None:
        raise BudgetError(
            f"a single live weight exceeds the budget of {allowed:.6g} of {total:.6g} expected "
            "SynOps; lower the sparsity"
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
