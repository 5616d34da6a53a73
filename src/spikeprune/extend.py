"""Extend spikeprune from outside: criteria, allocations, methods and adapters of your own.

A decorator gives a function a name that works wherever a built-in one does: in `Pruner`, as
`--saliency`, `--regrow`, `--allocation` or `--method`, in `compare` and in `spikeprune methods`.

    from spikeprune import extend

    @extend.saliency("quiet-magnitude", needs={"potentials"})
    def quiet_magnitude(layer, weight, inputs):
        return weight.abs() * extend.per_input(weight, inputs.pre_rates(layer))

    extend.method(
        name="quiet",
        granularities=("weight",),
        saliency="quiet-magnitude",
        summary="drop small weights whose presynaptic channel seldom fires",
    )

`check_criterion("quiet-magnitude")` tests it on a small net. The command line imports the module by
`--extensions '[my_module]'`; a package announces it by an entry point instead:

    [project.entry-points."spikeprune.extensions"]
    my-name = "my_package.my_module"
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

from spikeprune.adapters.base import Adapter, SelfObserving
from spikeprune.adapters.declared import spikes
from spikeprune.adapters.registry import register as register_adapter
from spikeprune.errors import ConfigError
from spikeprune.pruning import method_rows
from spikeprune.pruning.conformance import check_criterion
from spikeprune.pruning.criteria.inputs import Criterion, Need, Observations, ScoreInputs
from spikeprune.pruning.criteria.of_channels import (
    CHANNEL_REGROWTH,
    CHANNEL_SALIENCY,
    ChannelCriterion,
    ChannelScoreInputs,
)
from spikeprune.pruning.criteria.of_weights import REGROWTH, SALIENCY
from spikeprune.pruning.method_rows import Method
from spikeprune.science.allocation import SHARES
from spikeprune.science.broadcast import per_input, per_output

__all__ = [
    "Adapter",
    "ChannelScoreInputs",
    "Method",
    "Need",
    "Observations",
    "ScoreInputs",
    "SelfObserving",
    "allocation",
    "channel_regrowth",
    "channel_saliency",
    "check_criterion",
    "method",
    "per_input",
    "per_output",
    "register_adapter",
    "regrowth",
    "saliency",
    "spikes",
]

F = TypeVar("F", bound=Callable[..., Any])


def saliency(
    name: str, *, needs: AbstractSet[Need] = frozenset(), everywhere: bool = True
) -> Callable[[F], F]:
    """Register a saliency of weights: what is dropped first, the lowest.

    The function takes layer name, weight and `ScoreInputs` and returns a tensor that broadcasts
    to the weight.

    Args:
        name: for options and the command line.
        needs: the observations that it uses.
        everywhere: whether it is defined for layers that feed no spiking neuron.

    Raises:
        ConfigError: another function has the name.
    """
    return _row(SALIENCY, name, lambda f: Criterion(f, needs, everywhere=everywhere))


def regrowth(
    name: str, *, needs: AbstractSet[Need] = frozenset(), everywhere: bool = True
) -> Callable[[F], F]:
    """Register a regrowth score of weights: what is brought back first, the highest.

    Function, arguments and errors are those of `saliency`.
    """
    return _row(REGROWTH, name, lambda f: Criterion(f, needs, everywhere=everywhere))


def channel_saliency(
    name: str, *, needs: AbstractSet[Need] = frozenset(), on: str = ""
) -> Callable[[F], F]:
    """Register a saliency of channels: what is dropped first, the lowest.

    The function takes a channel group and `ChannelScoreInputs` and returns one number a channel,
    `[n]`.

    Args:
        name: for options and the command line.
        needs: the observations that it uses.
        on: role of the modules that it reads, which a group must have: `norm`, `state`, or none.

    Raises:
        ConfigError: another function has the name.
    """
    return _row(CHANNEL_SALIENCY, name, lambda f: ChannelCriterion(f, needs, on))


def channel_regrowth(
    name: str, *, needs: AbstractSet[Need] = frozenset(), on: str = ""
) -> Callable[[F], F]:
    """Register a regrowth score of channels: what is brought back first, the highest.

    Function, arguments and errors are those of `channel_saliency`.
    """
    return _row(CHANNEL_REGROWTH, name, lambda f: ChannelCriterion(f, needs, on))


def allocation(name: str) -> Callable[[F], F]:
    """Register an allocation: how live weights are spread over the layers.

    The function takes layer name and weight shape and returns the layer's share of the live
    weights, above 0, up to a factor that all layers have in common. A layer that would get more
    weights than it has stays dense.

    Raises:
        ConfigError: another function has the name, or it is `global` or `budget`.
    """
    if name in ("global", "budget"):
        raise ConfigError(f"the allocation {name!r} exists already; choose another name")
    return _row(SHARES, name, lambda f: f)


def method(**row: Any) -> Method:
    """Register a method, a composition of parts by name; the arguments are those of `Method`.

    Raises:
        ConfigError: another method has the name for one of the granularities.
    """
    made = Method(**row)
    for other in method_rows.METHODS:
        both = set(other.granularities) & set(made.granularities)
        if other.name == made.name and both and other != made:
            raise ConfigError(
                f"the method {made.name!r} exists already for {', '.join(sorted(both))}; choose "
                "another name"
            )
    if made not in method_rows.METHODS:
        method_rows.METHODS.append(made)
    return made


def _row(table: dict[str, Any], name: str, row: Callable[[Any], Any]) -> Callable[[F], F]:
    def register(function: F) -> F:
        there = table.get(name)
        there = getattr(there, "score", there)
        if there is not None and _path(there) != _path(function):
            raise ConfigError(f"the name {name!r} is {_path(there)} already; choose another name")
        table[name] = row(function)
        return function

    return register


def _path(function: Any) -> str:
    """Return module and name of a function: a module that is imported again replaces its own."""
    return f"{function.__module__}.{function.__qualname__}"
