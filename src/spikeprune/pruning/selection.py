"""The result of one pruning event: which weights or channels are live after it."""

from dataclasses import dataclass

from torch import Tensor

from spikeprune.pruning.budget import BudgetUse


@dataclass(frozen=True)
class Selection:
    """One bool tensor by layer (weights) or by channel group (channels); the two are disjoint."""

    kept: dict[str, Tensor]  # live before and after the event
    regrown: dict[str, Tensor]
    budget: BudgetUse | None = None  # None where the budget is a count of weights

    @property
    def live(self) -> dict[str, Tensor]:
        """Kept or regrown."""
        return {name: kept | self.regrown[name] for name, kept in self.kept.items()}
