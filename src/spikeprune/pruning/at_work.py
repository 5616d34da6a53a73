"""The pruners that are at work: a net takes one at a time, because the masks of both would hold."""

from typing import Any, Protocol
from weakref import WeakSet

from torch import nn

from spikeprune.errors import ConfigError


class Worker(Protocol):
    """What is known here of a `Pruner`."""

    steps: int
    events: list[Any]
    event_steps: tuple[int, ...]
    parameters: dict[str, nn.Parameter]  # those that are pruned


_AT_WORK: "WeakSet[Any]" = WeakSet()


def begin_work(pruner: Worker) -> None:
    """Note that a pruner is at work; one that nobody and no net holds any more is forgotten."""
    _AT_WORK.add(pruner)


def end_work(pruner: Worker) -> None:
    """Forget a pruner that is closed."""
    _AT_WORK.discard(pruner)


def at_work_on(model: nn.Module) -> Any:
    """Return the pruner at work on a parameter of a model, None if there is none."""
    own = {id(p) for p in model.parameters()}
    return next((one for one in _AT_WORK if not own.isdisjoint(_ids(one))), None)


def refuse_second(model: nn.Module) -> None:
    """Refuse a model that a pruner is at work on.

    Raises:
        ConfigError: one is.
    """
    other = at_work_on(model)
    if other is not None:
        raise ConfigError(
            f"another Pruner is at work on this net ({other.steps} steps, {len(other.events)} of "
            f"{len(other.event_steps)} events), and its masks would hold beside this one's; close "
            "it first: Pruner.of(model).close()"
        )


def _ids(pruner: Worker) -> set[int]:
    return {id(p) for p in pruner.parameters.values()}
