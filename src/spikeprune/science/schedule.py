"""When events happen and which density each of them leaves."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from spikeprune.errors import ConfigError, unknown_name

__all__ = ["SCHEDULES", "Schedule", "density_at", "event_steps"]

Schedule = Callable[[float], float]
"""Progress in [0, 1] to the fraction of the pruning that is done, in [0, 1]."""


def _cubic(progress: float) -> float:
    return 1.0 - (1.0 - progress) ** 3


def _linear(progress: float) -> float:
    return progress


def _one_shot(progress: float) -> float:
    return 1.0 if progress > 0.0 else 0.0


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {"cubic": _cubic, "linear": _linear, "one-shot": _one_shot}
)


def _named(schedule: str) -> Schedule:
    if schedule not in SCHEDULES:
        raise unknown_name("schedule", schedule, SCHEDULES)
    return SCHEDULES[schedule]


def density_at(
    k: int, n: int, final: float, *, initial: float = 1.0, schedule: str = "cubic"
) -> float:
    """Return the density after event `k` of `n`.

    `cubic`: `d_k = d_f + (d_0 - d_f)(1 - k/n)^3` (method, section 3, step 1; Zhu and Gupta,
    2017); `linear` the same with exponent 1; `one-shot`: `d_f` from the first event on.

    Args:
        k: Event, 0 (before any) to `n`.
        n: Number of events, at least 1.
        final: Density at the end, in (0, 1].
        initial: Density before the first event, in [final, 1].
        schedule: A key of `SCHEDULES`.

    Returns:
        A density, never rising with `k`, exactly `final` at `k = n`.

    Raises:
        ConfigError: Unknown schedule, or a number outside its range.
    """
    done = _named(schedule)
    if not 0 <= k <= n or n < 1:
        raise ConfigError(f"expected event k of n with 0 <= k <= n and n >= 1, got {k} of {n}")
    if not 0.0 < final <= initial <= 1.0:
        raise ConfigError(
            f"expected densities 0 < final <= initial <= 1, got final {final}, initial {initial}"
        )
    return final + (initial - final) * (1.0 - done(k / n))


def event_steps(total_steps: int, every: int, *, schedule: str = "cubic") -> tuple[int, ...]:
    """Return after which optimiser steps an event happens.

    Every `every` steps of the pruning phase: `every, 2 every, ...` up to `total_steps`;
    `one-shot` has a single event, at the end of the phase.

    Args:
        total_steps: Optimiser steps of the pruning phase.
        every: Steps between events, at least 1 (without effect on `one-shot`).
        schedule: A key of `SCHEDULES`.

    Returns:
        Step numbers, counted from 1, rising.

    Raises:
        ConfigError: Unknown schedule, or no event would happen.
    """
    _named(schedule)
    if every < 1:
        raise ConfigError(f"expected at least 1 step between events, got every={every}")
    steps = (total_steps,) if schedule == "one-shot" else range(every, total_steps + 1, every)
    if total_steps < 1 or not steps:
        raise ConfigError(
            f"the schedule has no event: {total_steps} optimiser steps of pruning with an event "
            f"every {every}; prune for more epochs or lower `every`"
        )
    return tuple(steps)
