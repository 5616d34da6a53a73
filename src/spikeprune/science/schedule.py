"""Schedules: steps of the events, density after each event, fraction that regrowth chooses."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from spikeprune.errors import ConfigError, require_one_of

Schedule = Callable[[float], float]
"""Progress in [0, 1] to the fraction of the pruning that is done, in [0, 1]."""


def _cosine(progress: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        "cubic": lambda progress: 1.0 - (1.0 - progress) ** 3,
        "linear": lambda progress: progress,
        "geometric": lambda progress: progress,  # in the logarithm of the density
        "sine": lambda progress: 1.0 - _cosine(progress),
        "one-shot": lambda progress: 1.0 if progress > 0.0 else 0.0,
        "early-bird": lambda progress: 1.0 if progress > 0.0 else 0.0,  # once it has settled
        "constant": lambda progress: 1.0,
        "at-start": lambda progress: 1.0,
    }
)


def _falling(share: float, progress: float, *, least: float) -> float:
    return least + (share - least) * _cosine(progress)


FRACTIONS: Mapping[str, Callable[[float, float], float]] = MappingProxyType(
    {
        "constant": lambda share, progress: share,
        "cosine": lambda share, progress: share * _cosine(progress),
        "cosine-to-tenth": lambda share, progress: _falling(share, progress, least=0.1 * share),
        "cosine-to-0.005": lambda share, progress: _falling(
            share, progress, least=min(0.005, share)
        ),
    }
)
"""Regrowth fraction at the start and progress, both in [0, 1], to the fraction then."""


def _named(schedule: str) -> Schedule:
    require_one_of("schedule", schedule, SCHEDULES)
    return SCHEDULES[schedule]


def _progress(k: int, n: int) -> float:
    if not 0 <= k <= n or n < 1:
        raise ConfigError(f"expected event k of n with 0 <= k <= n and n >= 1, got {k} of {n}")
    return k / n


def starts_sparse(schedule: str, initial: float = 1.0) -> bool:
    """Return whether the net is sparse before its first step, by an event at step 0."""
    return _named(schedule)(0.0) > 0.0 or initial < 1.0


def fraction_at(k: int, n: int, share: float, *, schedule: str = "constant") -> float:
    """Return the share of the survivors that regrowth chooses at event `k` of `n`.

    `constant`: `share`; `cosine`: `share (1 + cos(pi k/n)) / 2` (Evci et al., 2020; nothing at the
    last event); `cosine-to-tenth`: `share (0.1 + 0.9 (1 + cos(pi k/n)) / 2)`; `cosine-to-0.005`:
    `m + (share - m)(1 + cos(pi k/n)) / 2`, `m` the lesser of 0.005 and `share` (Liu et al., 2021).

    Raises:
        ConfigError: Unknown schedule, or an event outside 0..n.
    """
    require_one_of("fraction schedule", schedule, FRACTIONS)
    return FRACTIONS[schedule](share, _progress(k, n))


def density_at(
    k: int, n: int, final: float, *, initial: float = 1.0, schedule: str = "cubic"
) -> float:
    """Return the density after event `k` of `n`, from `initial` to `final`, never rising with `k`.

    `cubic`: `d_k = d_f + (d_0 - d_f)(1 - k/n)^3` (method, section 3, step 1; Zhu and Gupta,
    2017); `linear`: with exponent 1 instead; `geometric`: `d_f^(k/n) d_0^(1 - k/n)`, an equal share
    of the live weights at every event; `sine`: `d_0 - (d_0 - d_f)(1 + sin(pi (k/n - 1/2))) / 2`
    (Chen et al., 2022); `one-shot`: `d_f` from the first event on; `early-bird`: the same, but an
    event waits (`pruning.events.early_bird`); `constant` and `at-start`: `d_f` from step 0 on,
    whatever `initial` is. At `k = n` it is exactly `final`.

    Raises:
        ConfigError: Unknown schedule, or not `0 <= k <= n`, `n >= 1`, `0 < final <= initial <= 1`.
    """
    done = _named(schedule)(_progress(k, n))
    if not 0.0 < final <= initial <= 1.0:
        raise ConfigError(
            f"expected densities 0 < final <= initial <= 1, got final {final}, initial {initial}"
        )
    left = 1.0 - done
    if schedule == "geometric":
        return final * math.pow(initial / final, left)
    return final + (initial - final) * left


def event_steps(
    total_steps: int,
    every: int,
    *,
    schedule: str = "cubic",
    initial: float = 1.0,
    until: int | None = None,
) -> tuple[int, ...]:
    """Return the optimiser steps after which an event happens, from 1 (0: before the first).

    These are `every, 2 every, ...` up to `total_steps`; `one-shot` has a single event, at the end
    of the pruning phase. A net that starts sparse (`initial` density below 1, or by its schedule)
    has an event at step 0 before these; `at-start` has only that. With `until` events go on every
    `every` steps after the last of these, up to that step.

    Raises:
        ConfigError: Unknown schedule, or no event would happen.
    """
    first = (0,) if starts_sparse(schedule, initial) else ()
    if every < 1:
        raise ConfigError(f"expected at least 1 step between events, got every={every}")
    if schedule == "at-start":
        return first
    steps = (total_steps,) if schedule == "one-shot" else range(every, total_steps + 1, every)
    if total_steps < 1 or not steps:
        raise ConfigError(
            f"the schedule has no event: {total_steps} optimiser steps of pruning with an event "
            f"every {every}; prune for more epochs or lower `every`"
        )
    return (*first, *steps, *range(steps[-1] + every, (until or 0) + 1, every))
