"""Pruning methods by name, and the options that follow from a name."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack

from spikeprune.errors import ConfigError, require_one_of, unknown_name
from spikeprune.observing.criticality_options import PAPER
from spikeprune.pruning import method_rows
from spikeprune.pruning.criteria.of_weights import SALIENCY
from spikeprune.pruning.installed import load_extensions
from spikeprune.pruning.method_rows import WEIGHT, Method
from spikeprune.pruning.option_types import OPERATIONS
from spikeprune.pruning.options import PAPER_FRACTION, PruneOptions, PruneOverrides
from spikeprune.pruning.sources import SOURCES_OF_PARTS

PARTS = (
    "saliency", "allocation", "schedule", "initial_density", "start_saliency", "fraction_schedule",
    "fraction_of", "regrow_within", "regrow_layers", "regrow_until", "initial_value",
    "gate_cost", "settled_below",
)  # fmt: skip
"""Options that a method may set in its `parts`; a user's own value goes before the method's."""


def all_methods() -> tuple[Method, ...]:
    """Return every method, those of installed extensions included."""
    load_extensions()
    return tuple(method_rows.METHODS)


def default_method(granularity: str = "weight", budget: str = "weights") -> str:
    """Return the method that `auto` stands for."""
    if granularity == "channel":
        return "criticality"  # the paper's; the study (docs/study.md, parts 5, 13) chose the others
    return "criticality-erk" if budget in OPERATIONS else "criticality-ranked"


def find(name: str, granularity: str) -> Method:
    """Return the row of a method; refuse unknown names, listing the valid ones."""
    methods = all_methods()
    here = {m.name: m for m in reversed(methods) if granularity in m.granularities}
    if name in here:
        return here[name]
    if name not in {m.name for m in methods}:
        raise unknown_name(f"method for {granularity} pruning", name, here)
    raise ConfigError(
        f"method {name!r} is not defined for {granularity} pruning; expected one of: "
        f"{', '.join(sorted(here))}"
    )


def sources_of(method: Method) -> tuple[str, ...]:
    """Return the keys of all sources of a method and its parts, its own first."""
    parts = {"saliency": method.saliency, "regrow": method.regrow, **method.parts}
    if method.prunes and method.granularities == WEIGHT:
        parts = {"schedule": "cubic"} | parts
    of_parts = [SOURCES_OF_PARTS.get(name, {}).get(value) for name, value in parts.items()]
    return tuple(dict.fromkeys([*method.sources, *filter(None, of_parts)]))


def resolve(name: str, overrides: PruneOverrides) -> Method:
    """Return a method with the options that a user sets beside its name put in.

    The name `auto` is `default_method`; an override of None counts as not set.
    """
    given: dict[str, Any] = {n: value for n, value in overrides.items() if value is not None}
    granularity = given.get("granularity", "weight")
    require_one_of("granularity", granularity, PAPER_FRACTION)
    if name == "auto":
        name = default_method(granularity, given.get("budget", "weights"))
    method = find(name, granularity)
    if not method.prunes:
        return method
    if method.rewinds:
        _refuse_with_rewinding(name, given)
    method = _with_regrowth(method, granularity, given)
    parts = {n: given[n] for n in PARTS if n in given and n != "saliency"}
    saliency = given.get("saliency", method.saliency)
    return replace(method, saliency=saliency, parts={**method.parts, **parts})


def _with_regrowth(method: Method, granularity: str, given: Mapping[str, Any]) -> Method:
    regrow, fraction = given.get("regrow"), given.get("regrow_fraction")
    if regrow is not None:
        own = regrow != "none" and not method.regrow_fraction
        share = PAPER_FRACTION[granularity] if own else method.regrow_fraction
        method = replace(method, regrow=regrow, regrow_fraction=share)
    if fraction is not None:
        if fraction > 0 and method.regrow == "none":
            raise ConfigError(
                f"regrow_fraction is {fraction:g}, but method {method.name!r} brings nothing back; "
                "choose what by --regrow criticality, random or gradient"
            )
        method = replace(method, regrow_fraction=fraction)
    return replace(method, regrow_fraction=0.0) if method.regrow == "none" else method


def _refuse_with_rewinding(name: str, given: Mapping[str, Any]) -> None:
    if given.get("saliency") in SALIENCY and SALIENCY[given["saliency"]].compensates:
        raise ConfigError(
            f"saliency {given['saliency']!r} gives the weights that stay new values, which method "
            f"{name!r} rewinds; choose another saliency, or schedule 'one-shot' with another method"
        )
    latent = given.get("saliency") in SALIENCY and SALIENCY[given["saliency"]].latent is not None
    harmless = ("allocation", "initial_value", *(() if latent else ("saliency",)))
    names = {"regrow", "regrow_fraction", *PARTS}.difference(harmless)
    contradicting = {n: given[n] for n in sorted(names) if n in given}
    if contradicting and contradicting != {"regrow": "none"}:
        listed = ", ".join(f"{n}={value!r}" for n, value in contradicting.items())
        raise ConfigError(
            f"method {name!r} drops at the end of each round and rewinds what is left, so "
            f"nothing comes back and rounds make its schedule; got {listed}. Leave these out; set "
            "imp.rounds or imp.share"
        )


def prune_options(
    method: Method, sparsity: float | None, overrides: PruneOverrides
) -> PruneOptions:
    """Return the options of a `Pruner` that follows a method that `resolve` gave.

    `sparsity` is the share to remove, in (0, 1); an override of None counts as not set.
    """
    if method.saliency is None:
        raise ConfigError(
            f"method {method.name!r} prunes nothing, so it has no pruning options; train without a "
            "pruner, or choose another method"
        )
    if sparsity is None:
        raise ConfigError("sparsity has no default: say what share to remove, as sparsity=0.9")
    given: dict[str, Any] = {n: value for n, value in overrides.items() if value is not None}
    parts = dict(method.parts)
    if "initial_density" in parts and "initial_density" not in given:
        # The method's own start is denser than the target only where that is sparse enough.
        parts["initial_density"] = max(parts["initial_density"], 1 - sparsity)
    normalise = parts.pop("normalise", "none")
    criticality = given.get("criticality", PAPER)
    if criticality.normalise == "none":
        criticality = replace(criticality, normalise=normalise)
    own = {"saliency": method.saliency, "regrow": method.regrow, "criticality": criticality}
    own["regrow_fraction"] = method.regrow_fraction
    return PruneOptions.of(sparsity=sparsity, **{**given, **parts, **own})


def options_for(
    method: str = "auto", *, sparsity: float | None, **overrides: Unpack[PruneOverrides]
) -> PruneOptions:
    """Return the options of a method by name, with single ones set by keyword.

    Args:
        method: a name of `spikeprune methods`; `auto` is the default for granularity and budget.
        sparsity: share to remove, in (0, 1).
        overrides: fields of `PruneOptions` that go before the method's own.

    Raises:
        ConfigError: an unknown name, options that contradict the method or each other, no
            sparsity, or a method that only a whole run can follow (`dense`, `imp`).
    """
    resolved = resolve(method, overrides)
    if resolved.rewinds:
        raise ConfigError(
            f"method {method!r} trains in rounds and rewinds the weights, which a pruner alone "
            f"cannot do; use `spikeprune run --method {method}`"
        )
    return prune_options(resolved, sparsity, overrides)
