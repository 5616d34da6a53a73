"""The event of a net that starts sparse: what it looks at before the first step."""

import copy
import itertools
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune.adapters.registry import adapter_for
from spikeprune.errors import ConfigError
from spikeprune.execution.forward import forward
from spikeprune.measuring.weight_operands import WeightOperands
from spikeprune.observing.observer import Observer
from spikeprune.observing.potential_sums import ChannelStats
from spikeprune.pruning.criteria.at_initialization import Passes
from spikeprune.pruning.criteria.inputs import Observations
from spikeprune.pruning.criteria.of_weights import SALIENCY
from spikeprune.pruning.events.schedule import PlannedEvent
from spikeprune.pruning.options import PruneOptions, needs
from spikeprune.science.schedule import density_at
from spikeprune.wiring.wiring import Wiring


def first(
    batches: Iterable[tuple[Tensor, Tensor]] | None, count: int
) -> tuple[tuple[Tensor, Tensor], ...]:
    """Return the first `count` batches, fewer if there are fewer, none of None."""
    return tuple(itertools.islice(batches or (), count))


def gathered(
    passes: Passes,
    due: PlannedEvent,
    observing: dict[str, Any],
    wiring: Wiring,
    generator: torch.Generator,
) -> Iterator[tuple[PlannedEvent, Observations]]:
    """Yield the parts of the event at the start, each with what it looks at, measured when due.

    All but a saliency that is measured in rounds have one part; the rounds' densities fall
    geometrically to that of the event.

    Args:
        passes: the net, and the batches and loss that were given.
        due: the event.
        observing: how potentials are scored, as keywords of `Observer`.
        wiring: of the net.
        generator: for what is drawn.

    Raises:
        ConfigError: no batches or no loss were given, and a measurement needs them; or a gradient
            is needed.
    """
    stats, reads = _observed(passes, due.options, observing, wiring)
    row = SALIENCY[due.options.saliency]
    for k in range(1, row.rounds + 1):
        density = density_at(k, row.rounds, due.density, schedule="geometric")
        scores = {} if row.measure is None else row.measure(passes)
        yield due._replace(density=density), Observations(stats, {}, generator, scores, reads)


def _observed(
    passes: Passes, options: PruneOptions, observing: dict[str, Any], wiring: Wiring
) -> tuple[dict[str, ChannelStats], dict[str, Tensor]]:
    """Return what neurons did and layers read in forwards of a copy; empty where it is not needed.

    In training mode, since the running statistics of the norms are of no batch yet.
    """
    wanted = needs(options)
    if wanted.gradient:
        raise ConfigError(
            f"saliency {options.saliency!r} needs the gradient of a training step, which there is "
            "none of before the first; choose another start_saliency"
        )
    if not wanted.potentials:
        return {}, {}
    if not passes.batches:
        raise ConfigError(
            "the event at the start needs potentials or firing rates, measured on training "
            "batches; call pruner.begin(batches, loss) with pairs of input and target"
        )
    adapter_for(passes.model).reset(passes.model)  # a state under way has a graph behind it
    model: nn.Module = copy.deepcopy(passes.model).train()
    observer = Observer(model, train=True, **observing | {"moments": wanted.moments})
    counted = WeightOperands(model, wiring, train=True) if wanted.reads else None
    with torch.no_grad(), observer, counted or nullcontext():
        for x, _ in passes.batches:
            forward(model, x, time_steps=passes.time_steps, layout=passes.layout)
    reads = counted.compute(sum(len(y) for _, y in passes.batches)) if counted else {}
    return observer.compute(), reads


def passes_taken(passes: Passes, options: PruneOptions) -> float:
    """Return what the event at step 0 cost, in training steps of one sample."""
    samples = sum(len(y) for _, y in passes.batches)
    observed = samples / 3 if needs(options).potentials else 0.0  # forward only
    return observed + SALIENCY[options.saliency].passes(samples, passes.time_steps)
