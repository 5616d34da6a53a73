"""The pruning method of a run, from its configuration."""

from typing import cast

from spikeprune.errors import ConfigError
from spikeprune.lab.settings.config import RunConfig
from spikeprune.pruning import methods
from spikeprune.pruning.method_rows import Method
from spikeprune.pruning.options import PruneOptions, PruneOverrides


def overrides_of(config: RunConfig) -> PruneOverrides:
    """Return the pruning options that a configuration sets, None where it leaves them open."""
    names = PruneOverrides.__annotations__
    return cast(PruneOverrides, {name: getattr(config, name) for name in names})


def resolve(config: RunConfig) -> Method:
    """Return the method of a run, with the run's own options put in."""
    return methods.resolve(config.method, overrides_of(config))


def prune_options(config: RunConfig) -> PruneOptions:
    """Return the options of this run's `Pruner`; refuse those that cannot work."""
    method = resolve(config)
    if method.prunes and config.sparsity is None:
        raise ConfigError(
            "sparsity is missing and has no default: say what share to remove, as --sparsity 0.9"
        )
    return methods.prune_options(method, config.sparsity, overrides_of(config))
