"""Options of pruning that can have no effect beside the others, each with the reason.

Such an option is not refused, because a loop over methods shares its options. It is said by name.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from spikeprune.errors import ConfigError
from spikeprune.pruning.criteria.of_weights import BY_CRITICALITY, SALIENCY
from spikeprune.pruning.needs import needs_of
from spikeprune.pruning.options import CRITERIA, PruneOptions
from spikeprune.science.schedule import starts_sparse

Rule = Callable[[PruneOptions], str]
"""Complete options to the reason why one of them has no effect, '' if it may have one."""

# Observed, but not for criticality.
_OF_POTENTIALS = {"firing-rate", "crisis", "mean-potential", "distortion", "wanda", "sbc"}
_WITHOUT_DATA = {"synflow"}  # measured at initialization without a batch


def _gates(o: PruneOptions) -> str:
    return "" if o.latent == "gates" else f"no gates are trained (saliency is {o.saliency})"


def _gate_cost(o: PruneOptions) -> str:
    return _gates(o) or ("" if o.gate_penalty else "open gates cost nothing (gate_penalty is 0)")


def _channels(o: PruneOptions) -> str:
    return "" if o.granularity == "channel" else "single weights are pruned, not channels"


def _regrowth(o: PruneOptions) -> str:
    if o.regrow == "none":
        return "nothing is brought back (regrow is none)"
    return "" if o.fraction else "nothing is brought back (regrow_fraction is 0)"


def _regrow(o: PruneOptions) -> str:
    return "" if o.regrow == "none" else _regrowth(o)  # `none` itself turns regrowth off


def _regrow_fraction(o: PruneOptions) -> str:
    return _regrowth(o) if o.regrow == "none" else ""


def _regrow_within(o: PruneOptions) -> str:
    by_layer = f"allocation {o.allocation} gives each layer its own number of weights"
    return _regrowth(o) or ("" if o.allocation == "global" else by_layer)


def _initial_value(o: PruneOptions) -> str:
    if o.granularity == "channel":
        return "a channel that comes back keeps the values that it has"
    return _regrowth(o)


def _every(o: PruneOptions) -> str:
    if o.granularity == "channel" and o.schedule != "early-bird":
        return "channels are pruned in one event, at the end of the pruning phase"
    goes_on = o.regrow_until == "training" and not _regrowth(o)
    single = o.schedule == "at-start" or (o.schedule == "one-shot" and not goes_on)
    return f"schedule {o.schedule} has one event" if single else ""


def _settled_below(o: PruneOptions) -> str:
    waits = o.schedule == "early-bird"
    return "" if waits else f"schedule {o.schedule} does not wait until a choice has settled"


def _gradient_batches(o: PruneOptions) -> str:
    if "squared-gradients" in needs_of(o) and o.schedule != "at-start":
        return ""
    return f"saliency {o.saliency} squares no gradients"


def _initial_density(o: PruneOptions) -> str:
    final = o.schedule in ("constant", "at-start")
    return f"schedule {o.schedule} starts at the final density" if final else ""


def _saliency(o: PruneOptions) -> str:
    only = o.schedule == "at-start" and o.start_saliency is not None
    return f"the only event is the start, by start_saliency {o.start_saliency}" if only else ""


def _score(o: PruneOptions) -> str:
    saliencies, regrowths = CRITERIA[o.granularity]
    used = {o.saliency: saliencies[o.saliency]}
    if o.regrow != "none":
        used[o.regrow] = regrowths[o.regrow]
    if o.start_saliency is not None:
        used[o.start_saliency] = SALIENCY[o.start_saliency]
    scored = any("potentials" in c.needs and n not in _OF_POTENTIALS for n, c in used.items())
    return "" if scored else f"{' and '.join(used)} take no criticality"


def _normalise(o: PruneOptions) -> str:
    added = o.criticality.normalise == "synops" and o.regrow not in BY_CRITICALITY
    return _score(o) or (f"{o.regrow} is not divided by synops" if added else "")


def _weight(o: PruneOptions) -> str:
    if o.granularity == "channel":
        return "channels are pruned, not single weights"
    return "" if o.regrow in BY_CRITICALITY else f"regrowth is by {o.regrow}, not by criticality"


def _score_on(o: PruneOptions) -> str:
    if "potentials" not in needs_of(o):
        return "nothing is observed for an event"
    return "the only event is before the training" if o.schedule == "at-start" else ""


def _batches(o: PruneOptions) -> str:
    if o.granularity == "weight" and starts_sparse(o.schedule, o.initial_density):
        name = o.start_saliency or o.saliency
        start = SALIENCY[name]
        if (start.measure and name not in _WITHOUT_DATA) or "potentials" in start.needs:
            return ""
    whole = o.criticality.score_on == "train-set"
    return _score_on(o) or ("score_on train-set takes all batches" if whole else "")


RULES: dict[str, Rule] = {
    "saliency": _saliency,
    "regrow": _regrow,
    "regrow_fraction": _regrow_fraction,
    "fraction_schedule": _regrowth,
    "fraction_of": _regrowth,
    "regrow_within": _regrow_within,
    "regrow_layers": _regrowth,
    "regrow_until": _regrowth,
    "initial_value": _initial_value,
    "settled_below": _settled_below,
    "every": _every,
    "gate_penalty": _gates,
    "gate_lr": _gates,
    "gate_cost": _gate_cost,
    "gradient_batches": _gradient_batches,
    "initial_density": _initial_density,
    "criticality.curve": _score,
    "criticality.value": _score,
    "criticality.space": _score,
    "criticality.time": _score,
    "criticality.normalise": _normalise,
    "criticality.weight": _weight,
    "criticality.batches": _batches,
    "criticality.score_on": _score_on,
    "channels.budget": _channels,
    "channels.floor": _channels,
    "channels.round_to": _channels,
    "channels.l1": _channels,
    "channels.reducer": _channels,
}
"""Why an option has no effect, by dotted field of `PruneOptions`."""

ALWAYS = frozenset(
    {
        "sparsity",
        "granularity",
        "allocation",
        "schedule",
        "start_saliency",  # refused where a net starts dense
        "budget",
        "within",
        "floor",
        "include",
        "exclude",
        "limits",
    }
)
"""Fields that have an effect wherever they are not refused."""


def changed(options: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted name and value of the fields of a dataclass that differ from their defaults."""
    for f in fields(options):
        value = getattr(options, f.name)
        if is_dataclass(value):
            yield from changed(value, f"{prefix}{f.name}.")
        elif value != _default(f):
            yield f"{prefix}{f.name}", value


def notes_on(options: PruneOptions, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a note for each keyword that a user gave beside a method and that has no effect.

    Raises:
        ConfigError: options of channels where weights are pruned: those of another task.
    """
    named: dict[str, Any] = {}
    for name, value in given.items():
        if is_dataclass(value):
            named |= dict(changed(value, f"{name}."))
        elif value is not None:
            named[name] = value
    strange = [name for name in named if name.startswith("channels.") and RULES[name](options)]
    if strange:
        raise ConfigError(
            f"{', '.join(strange)} have no effect where single weights are pruned; leave them out, "
            "or set granularity='channel'"
        )
    return tuple(
        sentence(name, value, why)
        for name, value in named.items()
        if name in RULES and (why := RULES[name](options))
    )


def sentence(name: str, value: Any, why: str) -> str:
    """Return that an option has no effect, and why."""
    shown = f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else value
    return f"{name} {shown} has no effect: {why}"


def _default(f: "Field[Any]") -> Any:
    return f.default if f.default_factory is MISSING else f.default_factory()
