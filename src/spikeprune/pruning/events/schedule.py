"""When a pruner's events happen and with which options each of them is run."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor

from spikeprune.errors import ConfigError, RunError
from spikeprune.pruning.options import PruneOptions
from spikeprune.science.schedule import density_at, event_steps, fraction_at, starts_sparse


class PlannedEvent(NamedTuple):
    """An event that is due.

    Attributes:
        density: live share after it: of the weights, or of the budget.
        options: what it is run with: the pruner's, with this event's saliency and fraction.
    """

    density: float
    options: PruneOptions


def timetable(
    options: PruneOptions, total_steps: int, *, at: Iterable[int] | None = None
) -> dict[int, PlannedEvent]:
    """Return the events by the optimiser step after which they happen, in order.

    Args:
        options: of the pruner.
        total_steps: optimiser steps of the pruning phase.
        at: these steps instead of every `options.every`; for weights.

    Raises:
        ConfigError: no event would happen, or densities that cannot be.
    """
    whole = options.granularity == "channel"
    every = total_steps if whole else options.interval(total_steps)
    steps: tuple[int, ...]
    if at is None:
        steps = event_steps(
            total_steps, every, schedule=options.schedule, initial=options.initial_density
        )
    else:
        steps = tuple(at)
        if not steps or steps[0] < 1 or any(a >= b for a, b in itertools.pairwise(steps)):
            raise ConfigError(f"expected rising steps of events, from 1 on, got {steps}")
    sparse = starts_sparse(options.schedule, options.initial_density) and at is None
    count = max(1, len(steps) - sparse)
    return {step: _due(options, k, count) for k, step in enumerate(steps, start=0 if sparse else 1)}


def _due(options: PruneOptions, k: int, n: int) -> PlannedEvent:
    density = density_at(
        *(k, n, 1 - options.sparsity),
        initial=options.initial_density,
        schedule=options.schedule,
    )
    if k == 0:
        kind = options.start_saliency or options.saliency
        return PlannedEvent(
            density, replace(options, saliency=kind, regrow="none", regrow_fraction=0.0)
        )
    fraction = fraction_at(k, n, options.fraction, schedule=options.fraction_schedule)
    return PlannedEvent(density, replace(options, regrow_fraction=fraction))


def refuse_foreign(
    state: Mapping[str, Any], live: Mapping[str, Tensor], steps: tuple[int, ...]
) -> None:
    """Refuse the saved state of a pruner of other layers or events.

    Args:
        state: what `Pruner.state_dict` gave.
        live: the masks of the pruner that is to go on from it.
        steps: after which its events happen.

    Raises:
        RunError: names, sizes or events differ.
    """
    shapes = {name: mask.shape for name, mask in live.items()}
    saved = {name: mask.shape for name, mask in state["live"].items()}
    if saved != shapes or list(state["event_steps"]) != list(steps):
        raise RunError(
            f"expected the state of a pruner of {len(shapes)} layers with events at steps "
            f"{_brief(steps)}, got one of {len(saved)} layers with events at "
            f"{_brief(state['event_steps'])}, or of other names or sizes; make the Pruner "
            "with the model and the options of the run that was saved"
        )


def _brief(steps: Iterable[int]) -> str:
    """Write the steps of events: all of a few, the ends of many."""
    texts = [str(step) for step in steps]
    return ", ".join(texts if len(texts) < 5 else [*texts[:2], "...", texts[-1]])
