"""Pruning methods by name; adding one is one row: what is dropped, what is brought back."""

from dataclasses import dataclass, replace

from spikeprune.engine.options import PAPER_FRACTION, REGROWTH, PruneOptions
from spikeprune.errors import ConfigError, unknown_name
from spikeprune.lab.config import RunConfig

__all__ = ["METHODS", "Method", "find", "prune_options", "resolve"]


@dataclass(frozen=True)
class Method:
    """A pruning method: saliency ranks what to drop, the regrowth score what to bring back."""

    name: str
    granularities: tuple[str, ...]
    """Where the method is defined; a name may have one row for weights and one for channels."""
    saliency: str | None
    """What is dropped first by its lowest value; None: nothing is pruned."""
    regrow: str
    """What is brought back by its highest value; `none`: nothing."""
    regrow_fraction: float
    """Share r of the survivors that regrowth chooses, in [0, 1)."""
    summary: str
    source: str

    @property
    def prunes(self) -> bool:
        """Whether the method removes anything: all but `dense` do."""
        return self.saliency is not None


WEIGHT, CHANNEL = ("weight",), ("channel",)
_THIS = "Chen et al. 2023, arXiv:2311.16141"
_SLIMMING = "Liu et al. 2017, Network Slimming"

METHODS = (
    Method("dense", WEIGHT + CHANNEL, None, "none", 0.0, "no pruning: the net to compare with", ""),
    Method(
        *("criticality", WEIGHT, "magnitude", "criticality", 0.2),
        "drop small weights, bring back those of the most critical channels",
        _THIS,
    ),
    Method(
        *("magnitude", WEIGHT, "magnitude", "none", 0.0),
        "drop small weights, gradually, while training",
        "Zhu and Gupta 2017, arXiv:1710.01878",
    ),
    Method(
        *("random-regrow", WEIGHT, "magnitude", "random", 0.2),
        "drop small weights, bring back random ones",
        "Mocanu et al. 2018, SET",
    ),
    Method(
        *("gradient-regrow", WEIGHT, "magnitude", "gradient", 0.2),
        "drop small weights, bring back those with the largest gradient",
        "Evci et al. 2020, RigL",
    ),
    Method(
        *("criticality", CHANNEL, "batchnorm-scale", "criticality", 0.05),
        "drop channels with a small BatchNorm scale, bring back the most critical",
        _THIS,
    ),
    Method(
        *("slimming", CHANNEL, "batchnorm-scale", "none", 0.0),
        "drop channels with a small BatchNorm scale",
        _SLIMMING,
    ),
    Method(
        *("random-regrow", CHANNEL, "batchnorm-scale", "random", 0.05),
        "drop channels with a small BatchNorm scale, bring back random ones",
        "control for criticality",
    ),
    Method(
        *("random", CHANNEL, "random", "none", 0.0),
        "drop random channels, bring none back",
        "control for every saliency",
    ),
)
"""Every method; (name, granularity) tells a row."""


def find(name: str, granularity: str) -> Method:
    """Return the row of a method.

    Raises:
        ConfigError: No such method, or not for this granularity; the valid ones are listed.
    """
    for method in METHODS:
        if method.name == name and granularity in method.granularities:
            return method
    here = [m.name for m in METHODS if granularity in m.granularities]
    if name not in {m.name for m in METHODS}:
        raise unknown_name(f"method for {granularity} pruning", name, here)
    raise ConfigError(
        f"method {name!r} is not defined for {granularity} pruning; expected one of: "
        f"{', '.join(sorted(here))}"
    )


def resolve(config: RunConfig) -> Method:
    """Return the method of a run, with `regrow` and `regrow_fraction` of the run put in.

    Raises:
        ConfigError: An unknown method or regrowth score, or a share without a score to use it.
    """
    method = find(config.method, config.granularity)
    if not method.prunes:
        return method
    if config.regrow is not None:
        if config.regrow not in REGROWTH:
            raise unknown_name("regrow", config.regrow, REGROWTH)
        own = config.regrow != "none" and not method.regrow_fraction
        fraction = PAPER_FRACTION[config.granularity] if own else method.regrow_fraction
        method = replace(method, regrow=config.regrow, regrow_fraction=fraction)
    if config.regrow_fraction is not None:
        if config.regrow_fraction > 0 and method.regrow == "none":
            raise ConfigError(
                f"regrow_fraction is {config.regrow_fraction:g}, but method {method.name!r} brings "
                "nothing back; choose what by --regrow criticality, random or gradient"
            )
        method = replace(method, regrow_fraction=config.regrow_fraction)
    return replace(method, regrow_fraction=0.0) if method.regrow == "none" else method


def prune_options(config: RunConfig) -> PruneOptions:
    """Return what the `Pruner` of this run is told.

    Raises:
        ConfigError: Options that cannot work, no sparsity, or a method that does not prune.
    """
    method = resolve(config)
    if method.saliency is None:
        raise ConfigError(f"method {method.name!r} prunes nothing, so it has no pruning options")
    if config.sparsity is None:
        raise ConfigError(
            "sparsity is missing and has no default: say what share to remove, as --sparsity 0.9"
        )
    return PruneOptions(
        sparsity=config.sparsity,
        granularity=config.granularity,
        saliency=method.saliency,
        regrow=method.regrow,
        regrow_fraction=method.regrow_fraction,
        allocation=config.allocation,
        schedule=config.schedule,
        every=config.every,
        initial_value=config.initial_value,
        include=config.include,
        exclude=config.exclude,
        limits=config.limits,
        criticality=config.criticality,
        channels=config.channels,
    )
