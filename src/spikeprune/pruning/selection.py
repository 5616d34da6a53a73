"""What one pruning event chose, from the choice to the record that run folders hold."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from torch import Tensor

from spikeprune.science.masks import Mask, returned, survival
from spikeprune.science.memory_order import live_count


@dataclass(frozen=True)
class BudgetUse:
    """How far an event used its budget; costs are in `unit`."""

    unit: str  # such as weights, macs, or synops and energy in nJ (per sample over all T)
    cost: float  # of the live weights or channels; at most `allowed`
    allowed: float
    total: float  # cost of the dense net, which the budget is a share of
    forced: Mapping[str, int] = field(default_factory=dict)  # channels kept by floors or rounding
    within: "tuple[BudgetUse, ...]" = ()  # further budgets of the same event

    @property
    def used(self) -> float:
        """Spent share of the budget."""
        return self.cost / self.allowed

    @property
    def highest_sparsity(self) -> float:
        """The sparsity that this cost would meet, rounded down to four places."""
        return max(0.0, int((1 - self.cost / self.total) * 10_000) / 10_000)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON values that run folders and checkpoints hold."""
        values = asdict(replace(self, within=()))
        del values["within"]
        further = [one.to_dict() for one in self.within]
        return {"budget": values.pop("unit"), **values} | ({"within": further} if further else {})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "BudgetUse | None":
        """Return what `to_dict` gave; None for an empty mapping."""
        plain = dict(values)
        further = (cls.from_dict(one) for one in plain.pop("within", ()))
        within = tuple(one for one in further if one is not None)
        return cls(plain.pop("budget"), **plain, within=within) if plain else None


@dataclass(frozen=True)
class Selection:
    """One bool tensor by layer (weights) or by channel group (channels); the two are disjoint."""

    kept: dict[str, Tensor]  # live before and after the event
    regrown: dict[str, Tensor]
    budget: BudgetUse | None = None  # None where the budget is a count of weights
    values: Mapping[str, Tensor] = field(default_factory=dict)  # new ones of weights, by layer

    @property
    def uses(self) -> tuple[BudgetUse, ...]:
        """The use of every budget, the first one first; empty for a count of weights."""
        return (self.budget, *self.budget.within) if self.budget else ()

    @property
    def live(self) -> dict[str, Tensor]:
        """Kept or regrown."""
        return {name: kept | self.regrown[name] for name, kept in self.kept.items()}


@dataclass(frozen=True)
class EventRecord:
    """What one event did; counts are weights, or channels when channels are pruned.

    `survival` is the share of this event's regrowth that the next event kept: None before the next
    event, or if nothing was regrown. `layers` has the counts by layer or channel group.
    """

    event: int
    events: int
    step: int
    density: float
    live: int
    kept: int
    regrown: int
    dropped_and_returned: int
    dead_and_returned: int
    layers: dict[str, dict[str, int | None]]
    survival: float | None = None
    budget: BudgetUse | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; the use of the budget stands under `details`."""
        values = asdict(self)
        del values["budget"]
        return values | {"details": self.budget.to_dict() if self.budget else {}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the record that `to_dict` gave."""
        plain = dict(values)
        return cls(budget=BudgetUse.from_dict(plain.pop("details", {})), **plain)


def record_event(
    number: tuple[int, int],
    step: int,
    density: float,
    *,
    before: Mapping[str, Tensor],
    selection: Selection,
) -> EventRecord:
    """Count what an event did; its survival is not known yet.

    `number` is (this event from 1, all events), `density` that of the original net after the
    event, `before` the live weights or channels before it.
    """
    kept, regrown = Mask(selection.kept), Mask(selection.regrown)
    back = returned(Mask(before), regrown)
    layers: dict[str, dict[str, int | None]] = {}
    for name, (stayed, total) in kept.per_tensor().items():
        came = live_count(regrown[name])
        layers[name] = {"live": stayed + came, "total": total, "regrown": came, "survived": None}
    return EventRecord(
        event=number[0],
        events=number[1],
        step=step,
        density=density,
        live=kept.live + regrown.live,
        kept=kept.live,
        regrown=regrown.live,
        dropped_and_returned=back.dropped_and_returned,
        dead_and_returned=back.dead_and_returned,
        layers=layers,
        budget=selection.budget,
    )


def with_survival(
    record: EventRecord, regrown: Mapping[str, Tensor], kept: Mapping[str, Tensor]
) -> EventRecord:
    """Return the record with the share of its `regrown` that the next event `kept`."""
    survived = {n: int((regrown[n] & kept[n]).count_nonzero()) for n in record.layers}
    layers = {n: row | {"survived": survived[n]} for n, row in record.layers.items()}
    return replace(record, survival=survival(Mask(regrown), Mask(kept)), layers=layers)
