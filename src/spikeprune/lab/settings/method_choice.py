"""Pruning methods by name: found, and with what a run overrides put in."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from spikeprune.errors import ConfigError, unknown_name
from spikeprune.lab.settings.config import RunConfig
from spikeprune.pruning.methods import PARTS, Method, find
from spikeprune.pruning.options import PAPER_FRACTION, REGROW_NAMES, PruneOptions


def resolve(config: RunConfig) -> Method:
    """Return the method of a run, with what the run overrides put in.

    Raises:
        ConfigError: An unknown method or regrowth score, a share without a score to use it, or
            an override that contradicts the method.
    """
    method = find(config.method, config.granularity)
    if not method.prunes:
        return method
    given = {name: getattr(config, name) for name in PARTS}
    given = {name: value for name, value in given.items() if value is not None}
    if method.rewinds:
        _refuse_with_rewinding(config, given)
    method = _regrowing(method, config)
    parts = {**method.parts, **{n: v for n, v in given.items() if n != "saliency"}}
    return replace(method, saliency=given.get("saliency", method.saliency), parts=parts)


def _regrowing(method: Method, config: RunConfig) -> Method:
    if config.regrow is not None:
        if config.regrow not in REGROW_NAMES:
            raise unknown_name("regrow", config.regrow, REGROW_NAMES)
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


def _refuse_with_rewinding(config: RunConfig, given: Mapping[str, Any]) -> None:
    names = {"regrow", "regrow_fraction"}
    set_ = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    harmless = ("saliency", "allocation", "initial_value")
    set_ |= {name: value for name, value in given.items() if name not in harmless}
    if set_ and set_ != {"regrow": "none"}:
        listed = ", ".join(f"{name}={value!r}" for name, value in sorted(set_.items()))
        raise ConfigError(
            f"method {config.method!r} drops at the end of each round and rewinds what is left, so "
            f"nothing comes back and rounds make its schedule; got {listed}. Leave these out; set "
            "imp.rounds or imp.share"
        )


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
    parts = dict(method.parts)
    if config.initial_density is None and "initial_density" in parts:
        # The method's own start is denser than the target only where that is sparse enough.
        parts["initial_density"] = max(parts["initial_density"], 1 - config.sparsity)
    same = (
        *("sparsity", "granularity", "budget", "every", "include", "exclude", "limits", "channels"),
    )
    criticality, normalise = config.criticality, parts.pop("normalise", "none")
    if criticality.normalise == "none":
        criticality = replace(criticality, normalise=normalise)
    return PruneOptions.of(
        saliency=method.saliency,
        regrow=method.regrow,
        regrow_fraction=method.regrow_fraction,
        criticality=criticality,
        **{name: getattr(config, name) for name in same},
        **parts,
    )
