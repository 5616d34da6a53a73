"""When a pruner's events happen, and with which options each of them runs."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from spikeprune.errors import ConfigError
from spikeprune.pruning.options import PruneOptions
from spikeprune.science.schedule import density_at, event_steps, fraction_at, starts_sparse


class PlannedEvent(NamedTuple):
    """An event to come."""

    density: float  # live share after it, of the weights or of the budget
    options: PruneOptions  # the pruner's, with the saliency and regrowth fraction of this event
    within: Mapping[str, float] = MappingProxyType({})  # live shares of further budgets, by unit
    is_final: bool = True  # whether these are the shares after the last event


def planned_events(
    options: PruneOptions,
    total_steps: int,
    *,
    training_steps: int | None = None,
    at: Iterable[int] | None = None,
) -> dict[int, PlannedEvent]:
    """Return the events by the optimiser step after which they happen, in order.

    `total_steps` are those of the pruning phase, `training_steps` of the whole training. `at` gives
    the steps of all events instead of every `options.every`; for weights.

    Raises:
        ConfigError: no event, steps of events that do not rise, or no `training_steps` for options
            that regrow to the end of the training.
    """
    until = _regrowth_until(options, total_steps, training_steps, at)
    if at is None:
        every = options.interval(total_steps)
        steps = event_steps(
            total_steps,
            every,
            schedule=options.schedule,
            initial=options.initial_density,
            until=until,
        )
    else:
        steps = tuple(at)
        if not steps or steps[0] < 1 or any(a >= b for a, b in itertools.pairwise(steps)):
            raise ConfigError(f"expected rising steps of events, from 1 on, got {steps}")
    sparse = at is None and starts_sparse(options.schedule, options.initial_density)
    count = max(1, len(steps) - sparse)
    falling = count if until is None else sum(0 < step <= total_steps for step in steps)
    first = 0 if sparse else 1
    return {step: _planned(options, k, falling, count) for k, step in enumerate(steps, start=first)}


def _regrowth_until(
    options: PruneOptions,
    total_steps: int,
    training_steps: int | None,
    at: Iterable[int] | None,
) -> int | None:
    """Return the step up to which events go on after the pruning phase; None if they do not."""
    if options.regrow_until == "pruning" or options.regrow == "none":
        return None
    if at is not None:
        raise ConfigError(
            "events_at gives the steps of all events, and regrow_until 'training' adds others; "
            "leave out events_at, or set regrow_until 'pruning'"
        )
    if training_steps is None or training_steps < total_steps:
        raise ConfigError(
            "regrow_until 'training' needs the length of the whole training: give the pruner "
            f"training_steps of at least total_steps ({total_steps}), got {training_steps}; or set "
            "regrow_until 'pruning'"
        )
    return training_steps


def _planned(options: PruneOptions, k: int, falling: int, n: int) -> PlannedEvent:
    """Return event `k` of `n`; the density falls over the first `falling` of them."""

    def density(final: float) -> float:
        initial = max(options.initial_density, final)  # of another unit than a sparse start's
        done = min(k, falling)
        return density_at(done, falling, final, initial=initial, schedule=options.schedule)

    within = {unit: density(share) for unit, share in options.within.items()}
    final = 1 - options.sparsity
    share = density(final)
    planned = PlannedEvent(share, options, within, is_final=share == final)
    if k == 0:
        kind = options.start_saliency or options.saliency
        start = replace(options, saliency=kind, regrow="none", regrow_fraction=0.0)
        return planned._replace(options=start)
    fraction = fraction_at(k, n, options.fraction, schedule=options.fraction_schedule)
    return planned._replace(options=replace(options, regrow_fraction=fraction))
