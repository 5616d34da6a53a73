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
    last: bool = True


def planned_events(
    options: PruneOptions, total_steps: int, *, at: Iterable[int] | None = None
) -> dict[int, PlannedEvent]:
    """Return the events by the optimiser step after which they happen, in order.

    `at` gives these steps instead of every `options.every`; for weights.
    """
    if at is None:
        every = options.interval(total_steps)
        steps = event_steps(
            total_steps, every, schedule=options.schedule, initial=options.initial_density
        )
    else:
        steps = tuple(at)
        if not steps or steps[0] < 1 or any(a >= b for a, b in itertools.pairwise(steps)):
            raise ConfigError(f"expected rising steps of events, from 1 on, got {steps}")
    sparse = at is None and starts_sparse(options.schedule, options.initial_density)
    count = max(1, len(steps) - sparse)
    first = 0 if sparse else 1
    return {step: _planned(options, k, count) for k, step in enumerate(steps, start=first)}


def _planned(options: PruneOptions, k: int, n: int) -> PlannedEvent:
    def density(final: float) -> float:
        initial = max(options.initial_density, final)  # of another unit than a sparse start's
        return density_at(k, n, final, initial=initial, schedule=options.schedule)

    within = {unit: density(share) for unit, share in options.within.items()}
    planned = PlannedEvent(density(1 - options.sparsity), options, within, last=k == n)
    if k == 0:
        kind = options.start_saliency or options.saliency
        start = replace(options, saliency=kind, regrow="none", regrow_fraction=0.0)
        return planned._replace(options=start)
    fraction = fraction_at(k, n, options.fraction, schedule=options.fraction_schedule)
    return planned._replace(options=replace(options, regrow_fraction=fraction))
