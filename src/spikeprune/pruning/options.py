"""The options of a `Pruner`: frozen, and checked when they are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self, TypedDict

from spikeprune.choices import check_choices
from spikeprune.errors import ConfigError, unknown_name
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.pruning.criteria.of_channels import CHANNEL_REGROWTH, CHANNEL_SALIENCY
from spikeprune.pruning.criteria.of_weights import REGROWTH, SALIENCY
from spikeprune.pruning.option_types import (
    FLOOR,
    OPERATIONS,
    UNITS,
    Allocation,
    ChannelOptions,
    Every,
    Floor,
    FractionOf,
    FractionSchedule,
    GateCost,
    GateLr,
    GatePenalty,
    GradientBatches,
    Granularity,
    InitialDensity,
    InitialValue,
    RegrowFraction,
    RegrowLayers,
    Regrowth,
    RegrowUntil,
    RegrowWithin,
    Saliency,
    Schedule,
    Share,
    StartSaliency,
    WeightBudget,
)
from spikeprune.ranges import check_ranges
from spikeprune.science.schedule import starts_sparse

EVENTS = {"weight": 15, "channel": 1}
"""Events of a pruning phase where nothing else is asked for; channels have one in any case."""
EVENTS_OF_THRESHOLD = 100
"""Those where events raise a soft threshold, which its paper does in every step."""
PAPER_FRACTION = {"weight": 0.2, "channel": 0.05}
"""The paper's share of the live weights or channels that regrowth chooses (sections 3 and 4)."""
CRITERIA: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "weight": (SALIENCY, REGROWTH),
    "channel": (CHANNEL_SALIENCY, CHANNEL_REGROWTH),
}
"""Saliencies and regrowth scores by granularity."""


_WEIGHTS_ONLY = {"weights only": True}
"""Marks a field that channel pruning refuses with any other value than its default."""


@dataclass(frozen=True)
class PruneOptions:
    """What to prune, how far, and what to bring back.

    The defaults are gradual magnitude pruning without regrowth; a method by name sets the options
    that make it (`pruning.methods.options_for`).

    Raises:
        ConfigError: a value that does not exist or is out of range.
    """

    sparsity: Share
    """Share of the prunable weights (or of the budget) to remove, in (0, 1)."""
    granularity: Granularity = "weight"
    """Whether single weights or whole channels are pruned."""
    saliency: Saliency = "magnitude"
    """Criterion of what is dropped, the lowest first (`magnitude` is |w|, of channels |gamma|);
    names: `pruning.criteria`."""
    regrow: Regrowth = "none"
    """Criterion of what is brought back, the highest first; `none`: nothing comes back."""
    regrow_fraction: RegrowFraction | None = None
    """Share r of the live weights that regrowth chooses, in [0, 1); None: the paper's, 0.2 of the
    weights or 0.05 of the channels."""
    fraction_schedule: FractionSchedule = field(default="constant", metadata=_WEIGHTS_ONLY)
    """How r changes over the events: `science.schedule.FRACTIONS`."""
    fraction_of: FractionOf = field(default="after", metadata=_WEIGHTS_ONLY)
    """Whether r is a share of the weights that are live `after` the event, or `before` it; then
    all but r of these are kept, and regrowth fills up the count."""
    regrow_within: RegrowWithin = field(default="network", metadata=_WEIGHTS_ONLY)
    """Whether regrowth competes over the `network` or within each `layer`."""
    regrow_layers: RegrowLayers = field(default="spiking", metadata=_WEIGHTS_ONLY)
    """Layers that take part in regrowth: those that feed `spiking` neurons, or `all`."""
    regrow_until: RegrowUntil = field(default="pruning", metadata=_WEIGHTS_ONLY)
    """Whether events end with the `pruning` phase, or go on at the final density to the end of the
    `training`, over which r then falls."""
    allocation: Allocation = "global"
    """How what is live is spread over the layers: `science.allocation` (weights), or `budget`, one
    ranking of all weights or channels by score per cost in the unit of the budget, as they cost
    just before the event; under a budget of weights, whose costs are equal, that is `global`."""
    schedule: Schedule = field(default="cubic", metadata=_WEIGHTS_ONLY)
    """How the density falls over the events: `science.schedule.SCHEDULES`."""
    initial_density: InitialDensity = field(default=1.0, metadata=_WEIGHTS_ONLY)
    """Live share before the first step; below 1 the net starts sparse."""
    start_saliency: StartSaliency | None = field(default=None, metadata=_WEIGHTS_ONLY)
    """Criterion of what a net that starts sparse keeps at step 0; None: `saliency`."""
    budget: WeightBudget = field(default="weights", metadata=_WEIGHTS_ONLY)
    """Unit of the cost that `sparsity` is a share of in weight pruning: `weights`, `synops` or
    modelled `energy`."""
    within: Mapping[str, float] = field(default_factory=dict)
    """A second budget that the last event meets as well: the live share, in (0, 1), by unit. With
    allocation `budget` both are spent, where both bind."""
    floor: Floor | None = None
    """Share of what a uniform allocation would give it that every layer keeps, in [0, 1]; None: 0.2
    under a budget of SynOps or energy, else 0."""
    settled_below: Share = 0.1
    """With schedule `early-bird` the share of the mask in which five choices in a row may differ
    for the event to happen before the end of the pruning phase."""
    every: Every | None = None
    """Optimiser steps between two events (weights); None: such that there are about 15 (100 for
    `latent-magnitude`). Without effect where the schedule has a single event."""
    gate_penalty: GatePenalty = field(default=0.02, metadata=_WEIGHTS_ONLY)
    """Weight in the loss of the share of the connections whose gates are open (saliency `gate`)."""
    gate_lr: GateLr = field(default=1e-4, metadata=_WEIGHTS_ONLY)
    """Learning rate of the gates, which Adam trains."""
    gate_cost: GateCost = field(default="connections", metadata=_WEIGHTS_ONLY)
    """What an open gate costs: the output positions that its weight serves, or the non-zero
    operands that it reads, measured anew before every event."""
    gradient_batches: GradientBatches | None = field(default=None, metadata=_WEIGHTS_ONLY)
    """Training steps before an event whose squared gradients `fisher` averages; None: 10, or the
    steps between two events where they are fewer."""
    initial_value: InitialValue = "zero"
    """Initial value of a returned weight: `zero` (paper), `previous`, its value before the event,
    or `unchanged`, that and the optimiser's state. A weight that was dead starts at 0."""
    include: tuple[str, ...] = ()
    """Patterns of the layers to prune; empty: all."""
    exclude: tuple[str, ...] = ()
    """Patterns of layers to leave out."""
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Lowest and highest density by layer pattern; the highest is reached at the last event."""
    criticality: CriticalityOptions = field(default_factory=CriticalityOptions)
    """How criticality is measured."""
    channels: ChannelOptions = field(default_factory=ChannelOptions)
    """Options of channel pruning alone."""

    def __post_init__(self) -> None:
        """Refuse values that do not exist or cannot work."""
        check_choices(self)
        check_ranges(self)
        for name in ("include", "exclude"):
            if isinstance(getattr(self, name), str):
                raise ConfigError(
                    f"expected {name} as a list of patterns, got the text {getattr(self, name)!r}; "
                    "put it in brackets"
                )
        self._check_criteria()
        self._check_within()

    def _check_within(self) -> None:
        """Refuse a second budget that contradicts the first, or is no share."""
        units = [unit for unit in UNITS[self.granularity] if unit != self.unit]
        for unit, share in self.within.items():
            if unit == self.unit:
                raise ConfigError(
                    f"within gives a second budget of {unit}, which `sparsity` is a share of "
                    f"already; choose another unit: {', '.join(units)}"
                )
            if unit not in units:
                raise unknown_name("unit of a budget", unit, units)
            if not 0 < share < 1:
                raise ConfigError(f"expected within.{unit} as a live share in (0, 1), got {share}")
        if len(self.within) > 1:
            raise ConfigError(
                f"expected at most two budgets, got {self.unit} and {', '.join(self.within)}; "
                "leave out all but the two that bind"
            )

    def _check_criteria(self) -> None:
        """Refuse criteria that are not defined for the granularity."""
        saliencies, regrowths = CRITERIA[self.granularity]
        if self.saliency not in saliencies:
            raise ConfigError(
                f"saliency {self.saliency!r} is not defined for {self.granularity}s; choose one "
                f"of: {', '.join(sorted(saliencies))}"
            )
        if self.regrow not in (*regrowths, "none"):
            raise ConfigError(
                f"{self.regrow} regrowth is not defined for {self.granularity}s; choose one of: "
                f"{', '.join(sorted([*regrowths, 'none']))}"
            )

    def interval(self, total_steps: int) -> int:
        """Return the optimiser steps between two events of a pruning phase of `total_steps`."""
        early = self.schedule == "early-bird"
        events = EVENTS["weight" if early else self.granularity]
        if self.latent == "threshold":
            events = EVENTS_OF_THRESHOLD
        if self.every is None or events == 1:
            return max(1, total_steps // events)
        return self.every

    @property
    def latent(self) -> str | None:
        """The latent weights that are trained: of a soft `threshold`, or `gates`; None: none."""
        return SALIENCY[self.saliency].latent if self.granularity == "weight" else None

    @property
    def fraction(self) -> float:
        """The share r in force: the given one, or the paper's for this granularity."""
        if self.regrow_fraction is None:
            return PAPER_FRACTION[self.granularity]
        return self.regrow_fraction

    @property
    def unit(self) -> str:
        """Unit of the cost that `sparsity` is a share of."""
        return {"weight": self.budget, "channel": self.channels.budget}[self.granularity]

    @property
    def units(self) -> tuple[str, ...]:
        """Units of all budgets, that of `sparsity` first."""
        return (self.unit, *self.within)

    @property
    def least_share(self) -> float:
        """The floor in force: the given one, or that of the budgets' units."""
        if self.floor is not None:
            return self.floor
        return FLOOR if set(self.units) & set(OPERATIONS) else 0.0

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Make options from keywords; refuse unknown ones and unsound combinations."""
        valid = {f.name for f in fields(cls)}
        for name in options:
            if name not in valid:
                raise unknown_name("Pruner option", name, valid)
        if options.get("sparsity") is None:
            raise ConfigError("sparsity has no default: say what share to remove, as sparsity=0.9")
        made = cls(**options)
        refuse = _refuse_for_weights if made.granularity == "weight" else _refuse_for_channels
        refuse(made)
        return made


class PruneOverrides(TypedDict, total=False):
    """The fields of `PruneOptions` but `sparsity`, as keywords beside a method's name."""

    granularity: Granularity
    saliency: str
    regrow: str
    regrow_fraction: RegrowFraction | None
    fraction_schedule: str
    fraction_of: FractionOf
    regrow_within: RegrowWithin
    regrow_layers: RegrowLayers
    regrow_until: RegrowUntil
    allocation: str
    schedule: str
    initial_density: InitialDensity
    start_saliency: str | None
    budget: WeightBudget
    within: Mapping[str, float]
    floor: Floor | None
    settled_below: Share
    every: Every | None
    gate_penalty: GatePenalty
    gate_lr: GateLr
    gate_cost: GateCost
    gradient_batches: GradientBatches | None
    initial_value: InitialValue
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    limits: Mapping[str, tuple[float, float]]
    criticality: CriticalityOptions
    channels: ChannelOptions


def measured_at_start(saliency: str) -> bool:
    """Return whether a saliency of weights is measured at initialization only."""
    return saliency in SALIENCY and SALIENCY[saliency].measure is not None


def _refuse_latent(options: PruneOptions) -> None:
    """Refuse what latent weights do not go with."""
    for name in filter(None, (options.saliency, options.start_saliency)):
        if SALIENCY[name].latent is None:
            continue
        sparse = starts_sparse(options.schedule, options.initial_density)
        if options.regrow != "none" or sparse or name == options.start_saliency:
            raise ConfigError(
                f"saliency {name!r} ranks latent weights, which are trained from a dense start and "
                "come back by themselves; use regrow 'none', initial_density 1 and a schedule that "
                "starts dense, such as 'cubic'"
            )
        if options.latent == "threshold" and options.allocation == "budget":
            raise ConfigError(
                f"saliency {name!r} raises a threshold on the size of latent weights, which a "
                "ranking by score for each SynOp does not follow; use allocation 'global' or 'erk'"
            )


def _refuse_for_weights(options: PruneOptions) -> None:
    _refuse_latent(options)
    at_start = options.schedule == "at-start"
    if measured_at_start(options.saliency) and not at_start:
        raise ConfigError(
            f"{options.saliency} is measured once, before training; use schedule 'at-start', or "
            f"make it the start_saliency of a net that starts sparse, not {options.schedule!r}"
        )
    if at_start and options.regrow != "none":
        raise ConfigError(
            "schedule 'at-start' prunes once, before the first step, so nothing comes back; got "
            f"regrow={options.regrow!r}"
        )
    regrows = options.regrow != "none" and options.fraction > 0
    if regrows and SALIENCY[options.saliency].compensates:
        raise ConfigError(
            f"with saliency {options.saliency!r} the weights that stay make up for those that go, "
            f"so none of these comes back; got regrow={options.regrow!r}, use regrow 'none'"
        )
    if options.schedule == "early-bird" and options.regrow_until == "training" and regrows:
        raise ConfigError(
            "schedule 'early-bird' has one event, after which nothing comes back; use "
            "regrow_until 'pruning'"
        )
    falls_to_0 = options.fraction_schedule == "cosine" and options.regrow_until == "pruning"
    if options.schedule == "one-shot" and falls_to_0 and regrows:
        raise ConfigError(
            "fraction_schedule 'cosine' falls to 0 at the last event, and 'one-shot' has no other: "
            "nothing would come back; use fraction_schedule 'constant', or regrow 'none'"
        )
    if options.schedule == "constant" and options.regrow == "none":
        raise ConfigError(
            "a constant density without regrowth changes nothing after the start; choose what "
            "comes back, or schedule 'at-start'"
        )
    _refuse_start(options)
    operations = [unit for unit in options.units if unit in OPERATIONS]
    if operations and options.limits:
        raise ConfigError(
            "density limits are counts of weights and do not go with a budget of "
            f"{operations[0]}; leave one of the two out"
        )


def _refuse_start(options: PruneOptions) -> None:
    sparse = starts_sparse(options.schedule, options.initial_density)
    first = options.start_saliency or options.saliency
    if sparse and {"gradient", "squared-gradients"} & SALIENCY[first].needs:
        raise ConfigError(
            f"saliency {first!r} needs the gradient of a training step, which there is none of "
            "before the first; choose another start_saliency, or snip with schedule 'at-start'"
        )
    if options.start_saliency and not sparse:
        raise ConfigError(
            "start_saliency chooses what a net that starts sparse keeps, but this one starts "
            "dense; set initial_density below 1, or schedule 'constant' or 'at-start'"
        )
    if options.initial_density < 1 - options.sparsity:
        raise ConfigError(
            f"initial_density {options.initial_density:g} lies below the final density "
            f"{1 - options.sparsity:.3g}; a net never gets denser, so raise it, or the sparsity"
        )


def _refuse_for_channels(options: PruneOptions) -> None:
    if options.limits or options.allocation not in ("global", "budget"):
        raise ConfigError(
            "density limits and allocations other than global and budget are defined for weights; "
            "for channels set a floor, or exclude layers"
        )
    for f in fields(options):
        value = getattr(options, f.name)
        defined = f.name == "schedule" and value in ("one-shot", "early-bird")
        if f.metadata.get("weights only") and value != f.default and not defined:
            raise ConfigError(
                f"{f.name}={value!r} is defined for weights; channels are pruned in one event at "
                "the end of the pruning phase, under the budget of channels.budget"
            )
    c = options.criticality
    if options.regrow == "criticality" and (c.normalise == "synops" or c.weight != "post"):
        raise ConfigError(
            f"criticality.normalise={c.normalise!r} with criticality.weight={c.weight!r} is "
            "defined for weights; for channels choose normalise none or layer and weight post, "
            "or a budget of synops"
        )
