"""The two granularities of one `Pruner`: weights (one mask a layer) and channels (one a group)."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from spikeprune.pruning.criteria.inputs import Observations
from spikeprune.pruning.events.record import Outcome
from spikeprune.pruning.events.schedule import PlannedEvent
from spikeprune.science.masks import Mask


class Granularity(Protocol):
    """What the `Pruner` asks of a granularity."""

    live: dict[str, Tensor]
    memory: dict[str, Tensor]
    """What is remembered from event to event, for scores that need it."""

    def check(self) -> None:
        """Refuse, before any training, what the last event would refuse."""

    def density(self) -> float:
        """Live share of the prunable weights of the original net."""

    def macs_density(self) -> float:
        """Live share of the multiply-accumulates."""

    def parameter_mask(self, live: Mapping[str, Tensor] | None = None) -> Mask:
        """Mask over the model's parameters, by parameter name, for `live` (None: what lives)."""

    def penalise(self) -> None:
        """Add a penalty's subgradient to the gradients."""

    def event(self, due: PlannedEvent, gathered: Observations) -> Outcome:
        """Choose what lives and update `live`."""
