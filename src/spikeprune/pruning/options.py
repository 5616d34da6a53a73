"""What a `Pruner` is told: frozen option sets, checked when they are made."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any, Self

from spikeprune.errors import ConfigError, require_one_of, unknown_name
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.pruning.criteria.inputs import NOTHING, Needs
from spikeprune.pruning.criteria.of_channels import CHANNEL_REGROWTH, CHANNEL_SALIENCY
from spikeprune.pruning.criteria.of_weights import BY_CRITICALITY, REGROWTH, SALIENCY
from spikeprune.science.allocation import ALLOCATIONS
from spikeprune.science.schedule import FRACTIONS, SCHEDULES, starts_sparse

GRANULARITIES = ("weight", "channel")
EVENTS = 15
"""Events of a pruning phase where nothing else is asked for."""
PAPER_FRACTION = {"weight": 0.2, "channel": 0.05}
"""The paper's share of what lives that regrowth chooses (method, sections 3 and 4)."""
REGROW_NAMES = (*dict.fromkeys([*REGROWTH, *CHANNEL_REGROWTH]), "none")
SALIENCIES = tuple(dict.fromkeys([*SALIENCY, *CHANNEL_SALIENCY]))
BUDGETS = ("channels", "parameters", "macs", "synops")
WEIGHT_BUDGETS = ("weights", "synops")
AT_START = tuple(name for name, row in SALIENCY.items() if row.measure is not None)
"""Saliencies that are measured before training only."""


def check_names(options: "PruneOptions") -> None:
    """Refuse scores that are not defined for the granularity: they would be ignored in silence."""
    weights = options.granularity == "weight"
    tables = (SALIENCY, REGROWTH) if weights else (CHANNEL_SALIENCY, CHANNEL_REGROWTH)
    kinds = "weights" if weights else "channels"
    if options.saliency not in tables[0]:
        raise ConfigError(
            f"saliency {options.saliency!r} is not defined for {kinds}; choose one of: "
            f"{', '.join(sorted(tables[0]))}"
        )
    if options.regrow not in (*tables[1], "none"):
        raise ConfigError(
            f"{options.regrow} regrowth is not defined for {kinds}; choose one of: "
            f"{', '.join(sorted([*tables[1], 'none']))}"
        )


def floor_share(fraction: float, count: int) -> int:
    """Return floor(fraction x count) of the decimal fraction that was meant (0.29 x 100 is 29)."""
    return int(Fraction(fraction).limit_denominator(10**9) * count)


def matching(
    names: Iterable[str], include: Iterable[str], exclude: Iterable[str]
) -> tuple[str, ...]:
    """Return the names that match a pattern of `include` (empty: all) and none of `exclude`.

    Patterns are shell-style (`features.*`). A pattern that matches no name is an error, since a
    misspelt layer would otherwise be pruned, or spared, in silence.

    Raises:
        ConfigError: a pattern matches nothing, or nothing is left.
    """
    names = tuple(names)
    for pattern in (*include, *exclude):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f"the layer pattern {pattern!r} matches none of the layers: {', '.join(names)}"
            )
    chosen = [
        name
        for name in names
        if (not tuple(include) or any(fnmatchcase(name, p) for p in include))
        and not any(fnmatchcase(name, p) for p in exclude)
    ]
    if not chosen:
        raise ConfigError("include and exclude patterns leave no layer to prune")
    return tuple(chosen)


@dataclass(frozen=True)
class ChannelOptions:
    """What is particular to channel pruning (method, section 4)."""

    budget: str = "channels"
    """What `sparsity` is a share of: `channels`, `parameters`, `macs` or `synops`."""
    floor: int = 1
    """Channels that every layer keeps."""
    round_to: int = 1
    """Channel counts are multiples of this where the hardware wants it."""
    l1: float = 1e-4
    """L1 penalty on the BatchNorm scales before the event."""
    reducer: str = "mean"
    """How tied channels and several neurons share one score: `mean` or `max`."""

    def __post_init__(self) -> None:
        """Refuse values that do not exist."""
        require_one_of("channel budget", self.budget, BUDGETS)
        require_one_of("channel reducer", self.reducer, ("mean", "max"))
        if self.floor < 1 or self.round_to < 1 or self.l1 < 0:
            raise ConfigError(
                "channels.floor and channels.round_to must be at least 1 and channels.l1 at least "
                f"0, got floor={self.floor}, round_to={self.round_to}, l1={self.l1}"
            )


@dataclass(frozen=True)
class PruneOptions:
    """What to prune, how far, and what to bring back."""

    sparsity: float
    """Share of the prunable weights (or of the channel budget) to remove, in (0, 1)."""
    granularity: str = "weight"
    saliency: str = "magnitude"
    """What is dropped first, by its lowest value (`magnitude` is |w|, of channels |gamma|); names:
    `pruning.criteria.of_weights.SALIENCY`, `pruning.criteria.of_channels.CHANNEL_SALIENCY`."""
    regrow: str = "criticality"
    regrow_fraction: float | None = None
    """Share r of what lives that regrowth chooses, in [0, 1); None: the paper's, 0.2 of the
    weights or 0.05 of the channels."""
    fraction_schedule: str = "constant"
    """How r changes over the events: `science.schedule.FRACTIONS`."""
    fraction_of: str = "after"
    """What r is a share of: what lives `after` the event; or `before` it, of which all but r are
    kept, and regrowth makes up the count."""
    regrow_within: str = "network"
    """Whether regrowth competes over the `network` or within each `layer`."""
    regrow_layers: str = "spiking"
    """Layers that take part in regrowth: those that feed `spiking` neurons, or `all`."""
    allocation: str = "global"
    schedule: str = "cubic"
    initial_density: float = 1.0
    """Live share before the first step; below 1 the net starts sparse."""
    start_saliency: str | None = None
    """What a net that starts sparse keeps at step 0; None: by `saliency`."""
    budget: str = "weights"
    """What `sparsity` is a share of when weights are pruned: `weights` or `synops`."""
    every: int | None = None
    """Optimiser steps between two events (weights); None: such that there are about 15. Without
    effect where the schedule has a single event."""
    initial_value: str = "zero"
    """Where a returned weight starts: `zero` (paper) or `previous`, its value before the event."""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Lowest and highest density by layer pattern; the highest is reached at the last event."""
    criticality: CriticalityOptions = field(default_factory=CriticalityOptions)
    channels: ChannelOptions = ChannelOptions()

    def __post_init__(self) -> None:
        """Refuse values that do not exist or cannot work."""
        require_one_of("granularity", self.granularity, GRANULARITIES)
        require_one_of("saliency", self.saliency, SALIENCIES)
        require_one_of("regrowth", self.regrow, REGROWTH)
        require_one_of("allocation", self.allocation, ALLOCATIONS)
        require_one_of("schedule", self.schedule, SCHEDULES)
        require_one_of("initial value", self.initial_value, ("zero", "previous"))
        require_one_of("fraction schedule", self.fraction_schedule, FRACTIONS)
        require_one_of("fraction_of", self.fraction_of, ("after", "before"))
        require_one_of("regrow_within", self.regrow_within, ("network", "layer"))
        require_one_of("regrow_layers", self.regrow_layers, ("spiking", "all"))
        require_one_of("budget", self.budget, WEIGHT_BUDGETS)
        if self.start_saliency is not None:
            require_one_of("start_saliency", self.start_saliency, SALIENCY)
        if not 0 < self.sparsity < 1:
            raise ConfigError(f"sparsity must lie in (0, 1), got {self.sparsity}")
        if not 0 <= self.fraction < 1:
            raise ConfigError(f"regrow_fraction must lie in [0, 1), got {self.fraction}")
        for name in ("include", "exclude"):
            if isinstance(getattr(self, name), str):
                raise ConfigError(
                    f"expected {name} as a list of patterns, got the text {getattr(self, name)!r}; "
                    "put it in brackets"
                )
        if not 0 < self.initial_density <= 1:
            raise ConfigError(f"initial_density must lie in (0, 1], got {self.initial_density}")
        check_names(self)

    def interval(self, total_steps: int) -> int:
        """Return the optimiser steps between two events of a pruning phase of `total_steps`."""
        return self.every if self.every is not None else max(1, total_steps // EVENTS)

    @property
    def fraction(self) -> float:
        """The share r that holds: the one given, or the paper's for this granularity."""
        if self.regrow_fraction is None:
            return PAPER_FRACTION[self.granularity]
        return self.regrow_fraction

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Make options from keywords; unknown ones and unsound combinations are refused."""
        valid = {f.name for f in fields(cls)}
        for name in options:
            if name not in valid:
                raise unknown_name("Pruner option", name, valid)
        if "sparsity" not in options:
            raise ConfigError("sparsity has no default: say what share to remove, as sparsity=0.9")
        made = cls(**options)
        refuse_unsound(made)
        return made


def refuse_unsound(options: PruneOptions) -> None:
    """Refuse options that contradict each other or would be ignored in silence.

    Raises:
        ConfigError: says which, and what to choose instead.
    """
    if options.granularity == "channel":
        _refuse_channels(options)
    else:
        _refuse_weights(options)


def _refuse_weights(options: PruneOptions) -> None:
    only_start = options.schedule == "at-start"
    if options.saliency in AT_START and not only_start:
        raise ConfigError(
            f"{options.saliency} is measured once, before training; use schedule 'at-start', or "
            f"make it the start_saliency of a net that starts sparse, not {options.schedule!r}"
        )
    if only_start and options.regrow != "none":
        raise ConfigError(
            "schedule 'at-start' prunes once, before the first step, so nothing comes back; got "
            f"regrow={options.regrow!r}"
        )
    regrows = options.regrow != "none" and options.fraction > 0
    if options.schedule == "one-shot" and options.fraction_schedule == "cosine" and regrows:
        raise ConfigError(
            "fraction_schedule 'cosine' falls to 0 at the last event, and 'one-shot' has no other: "
            "nothing would come back; use fraction_schedule 'constant', or regrow 'none'"
        )
    if options.schedule == "constant" and options.regrow == "none":
        raise ConfigError(
            "a constant density without regrowth changes nothing after the start; choose what "
            "comes back, or schedule 'at-start'"
        )
    if options.start_saliency and not starts_sparse(options.schedule, options.initial_density):
        raise ConfigError(
            "start_saliency chooses what a net that starts sparse keeps, but this one starts "
            "dense; set initial_density below 1, or schedule 'constant' or 'at-start'"
        )
    if options.initial_density < 1 - options.sparsity:
        raise ConfigError(
            f"initial_density {options.initial_density:g} lies below the final density "
            f"{1 - options.sparsity:.3g}; a net never gets denser, so raise it, or the sparsity"
        )
    if options.budget == "synops" and options.limits:
        raise ConfigError(
            "density limits are counts of weights and do not go with a budget of synops; leave one "
            "of the two out"
        )


_WEIGHTS_ONLY = (
    *("fraction_schedule", "fraction_of", "regrow_within", "regrow_layers", "initial_density"),
    *("start_saliency", "budget", "schedule"),
)


def _refuse_channels(options: PruneOptions) -> None:
    if options.limits or options.allocation != "global":
        raise ConfigError(
            "density limits and allocations are defined for weights; for channels set "
            "channels.floor, or exclude layers"
        )
    for name in _WEIGHTS_ONLY:
        default = PruneOptions.__dataclass_fields__[name].default
        value = getattr(options, name)
        if value != default and (name, value) != ("schedule", "one-shot"):
            raise ConfigError(
                f"{name}={value!r} is defined for weights; channels are pruned in one event at the "
                "end of the pruning phase, under the budget of channels.budget"
            )
    c = options.criticality
    if options.regrow == "criticality" and (c.normalise == "synops" or c.weight != "post"):
        raise ConfigError(
            f"criticality.normalise={c.normalise!r} with criticality.weight={c.weight!r} is "
            "defined for weights; for channels choose normalise none or layer and weight post, "
            "or a budget of synops"
        )


def needs(options: PruneOptions, *, start: bool = False) -> Needs:
    """Return what the saliency, the regrowth score and the budget of `options` need.

    With `start` that includes what chooses the weights of a net that starts sparse.
    """
    if options.granularity == "channel":
        rows = [CHANNEL_SALIENCY[options.saliency].needs]
        rows += [CHANNEL_REGROWTH[options.regrow].needs] if options.regrow != "none" else []
        rows.append(_budget(options.channels.budget))
        return Needs.of(rows)
    rows = [SALIENCY[options.saliency].needs]
    rows += [REGROWTH[options.regrow].needs] if options.regrow != "none" else []
    if start and options.start_saliency is not None:
        rows.append(SALIENCY[options.start_saliency].needs)
    by_gradient = options.regrow in BY_CRITICALITY and options.criticality.weight == "post*grad"
    rows += [Needs(gradient=by_gradient), _budget(options.budget)]
    return Needs.of(rows)


def _budget(name: str) -> Needs:
    # Samples are counted where potentials are observed.
    return Needs(potentials=True, reads=True) if name == "synops" else NOTHING
