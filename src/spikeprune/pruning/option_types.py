"""Types of a `Pruner`'s options: valid names and ranges, units, and the options of channels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from spikeprune.choices import OneOf, check_choices
from spikeprune.pruning.criteria.of_channels import CHANNEL_REGROWTH, CHANNEL_SALIENCY
from spikeprune.pruning.criteria.of_weights import REGROWTH, SALIENCY
from spikeprune.pruning.installed import load_extensions
from spikeprune.ranges import SHARE, Range, check_ranges
from spikeprune.science.allocation import SHARES
from spikeprune.science.schedule import FRACTIONS, SCHEDULES


def _names(*tables: Mapping[str, Any], extra: str | None = None) -> Callable[[], tuple[str, ...]]:
    def names() -> tuple[str, ...]:
        load_extensions()
        found = [name for table in tables for name in table]
        return tuple(dict.fromkeys(found + ([extra] if extra else [])))

    return names


Granularity = Literal["weight", "channel"]
Saliency = Annotated[str, OneOf(_names(SALIENCY, CHANNEL_SALIENCY))]
StartSaliency = Annotated[str, OneOf(_names(SALIENCY))]
Regrowth = Annotated[str, OneOf(_names(REGROWTH, CHANNEL_REGROWTH, extra="none"))]
Allocation = Annotated[str, OneOf(_names({"global": None, "budget": None}, SHARES))]
Schedule = Annotated[str, OneOf(lambda: SCHEDULES)]
FractionSchedule = Annotated[str, OneOf(lambda: FRACTIONS)]
FractionOf = Literal["after", "before"]
RegrowWithin = Literal["network", "layer"]
RegrowLayers = Literal["spiking", "all"]
RegrowUntil = Literal["pruning", "training"]
InitialValue = Literal["zero", "previous", "unchanged"]
WeightBudget = Literal["weights", "synops", "energy"]
ChannelBudget = Literal["channels", "parameters", "macs", "synops", "energy"]
UNITS: dict[str, tuple[str, ...]] = {
    "weight": get_args(WeightBudget),
    "channel": get_args(ChannelBudget),
}
"""Units of budgets by granularity."""
OPERATIONS = ("synops", "energy")
"""Units whose costs are observed before every event."""
FLOOR = 0.2
"""Floor of every layer where nothing else is asked for, under a budget of operations."""
GateCost = Literal["connections", "operands"]
GatePenalty = Annotated[float, Range(0, 1e6)]
GateLr = Annotated[float, Range(0, 1e6, open_low=True)]
Share = Annotated[float, SHARE]
RegrowFraction = Annotated[float, Range(0, 1, open_high=True)]
Floor = Annotated[float, Range(0, 1)]
InitialDensity = Annotated[float, Range(0, 1, open_low=True)]
Every = Annotated[int, Range(1)]
GradientBatches = Annotated[int, Range(1)]


@dataclass(frozen=True)
class ChannelOptions:
    """Options of channel pruning alone (method, section 4).

    Raises:
        ConfigError: a value that does not exist or is out of range.
    """

    budget: ChannelBudget = "channels"
    """Unit of the cost that `sparsity` is a share of: `channels`, `parameters`, `macs`, `synops` or
    modelled `energy`."""
    floor: Annotated[int, Range(1)] = 1
    """Channels that every layer keeps."""
    round_to: Annotated[int, Range(1)] = 1
    """Channel counts are multiples of this where the hardware wants it."""
    l1: Annotated[float, Range(0, 1e6)] = 1e-4
    """L1 penalty on the BatchNorm scales before the event."""
    reducer: Literal["mean", "max"] = "mean"
    """How tied channels and several neurons share one score: `mean` or `max`."""

    def __post_init__(self) -> None:
        """Refuse values that do not exist."""
        check_choices(self, "channels.")
        check_ranges(self, "channels.")
