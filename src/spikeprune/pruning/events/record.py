"""The record of one pruning event: what stayed, what came back and from where."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from spikeprune.science.masks import Mask, returned, survival
from spikeprune.science.memory_order import live_count


@dataclass(frozen=True)
class Outcome:
    """What an event kept and brought back, by layer (weights) or group (channels)."""

    kept: dict[str, Tensor]
    regrown: dict[str, Tensor]
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EventRecord:
    """What one event did; counts are weights, or channels when channels are pruned.

    `survival` is the share of what this event regrew that the next event kept: None until that
    one has happened (so also for the last), or if nothing was regrown. `layers` has live, total,
    regrown and survived (of the regrown, as in `survival`) by layer (or group).
    """

    event: int
    events: int
    step: int
    density: float
    live: int
    kept: int
    regrown: int
    dropped_and_returned: int
    dead_and_returned: int
    layers: dict[str, dict[str, int | None]]
    survival: float | None = None
    details: dict[str, Any] = field(default_factory=dict)


def record_event(
    number: tuple[int, int],
    step: int,
    density: float,
    *,
    before: Mapping[str, Tensor],
    outcome: Outcome,
) -> EventRecord:
    """Count what an event did; its survival is not known yet.

    Args:
        number: (this event from 1, all events).
        step: optimiser step after which it happened.
        density: live share of the original net's prunable weights after it.
        before: what lived before, bool by name.
        outcome: what it kept and brought back.
    """
    kept, regrown = Mask(outcome.kept), Mask(outcome.regrown)
    back = returned(Mask(before), regrown)
    layers: dict[str, dict[str, int | None]] = {}
    for name, (stayed, total) in kept.per_tensor().items():
        came = live_count(regrown[name])
        layers[name] = {"live": stayed + came, "total": total, "regrown": came, "survived": None}
    return EventRecord(
        event=number[0],
        events=number[1],
        step=step,
        density=density,
        live=kept.live + regrown.live,
        kept=kept.live,
        regrown=regrown.live,
        dropped_and_returned=back.dropped_and_returned,
        dead_and_returned=back.dead_and_returned,
        layers=layers,
        details=outcome.details,
    )


def survived(
    event: EventRecord, regrown: Mapping[str, Tensor], kept: Mapping[str, Tensor]
) -> EventRecord:
    """Return an event with what became of its regrowth at the next one, in all and by layer.

    Args:
        event: as it was recorded.
        regrown: what it brought back, bool by name.
        kept: what the next event kept, bool by name.
    """
    layers = {
        name: row | {"survived": int((regrown[name] & kept[name]).count_nonzero())}
        for name, row in event.layers.items()
    }
    return replace(event, survival=survival(Mask(regrown), Mask(kept)), layers=layers)
