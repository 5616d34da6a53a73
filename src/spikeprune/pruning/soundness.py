"""Combinations of pruning options that mean nothing: refused by name, before anything runs."""

from spikeprune.errors import ConfigError
from spikeprune.pruning.options import AT_START, PruneOptions
from spikeprune.science.schedule import starts_sparse


def refuse_unsound(options: PruneOptions) -> None:
    """Refuse options that contradict each other or would be ignored in silence.

    Raises:
        ConfigError: says which, and what to choose instead.
    """
    if options.granularity == "channel":
        _channels(options)
    else:
        _weights(options)


def _weights(options: PruneOptions) -> None:
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


def _channels(options: PruneOptions) -> None:
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
