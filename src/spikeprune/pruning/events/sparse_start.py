"""The event of a net that starts sparse: what it observes before the first step."""

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

import torch
from torch import nn

from spikeprune.adapters.rest import reset
from spikeprune.data.batches import pair_of
from spikeprune.errors import ConfigError
from spikeprune.execution.forward import forward
from spikeprune.measuring.weight_operands import WeightOperands
from spikeprune.observing.observer import Observer
from spikeprune.pruning.criteria.at_initialization import InitialNet
from spikeprune.pruning.criteria.inputs import Observations
from spikeprune.pruning.criteria.of_weights import SALIENCY
from spikeprune.pruning.events.layer_inputs import filtered_inputs, with_filtered, with_operands
from spikeprune.pruning.events.schedule import PlannedEvent
from spikeprune.pruning.needs import needs_of
from spikeprune.pruning.options import PruneOptions
from spikeprune.science.schedule import density_at
from spikeprune.wiring.wiring import Wiring


def check_start(net: InitialNet, planned: PlannedEvent, wiring: Wiring) -> None:
    """Refuse a net on which the saliency of the start cannot be measured.

    Raises:
        ModelError: it cannot.
    """
    check = SALIENCY[planned.options.saliency].check
    if check is not None:
        check(net, wiring)


def rounds_at_start(
    net: InitialNet, planned: PlannedEvent, wiring: Wiring, generator: torch.Generator
) -> Iterator[tuple[PlannedEvent, Observations]]:
    """Yield the rounds of the event at the start, each with observations made when it is due.

    A saliency that is measured in rounds has many, whose densities fall geometrically to that of
    the event; any other has one.
    """
    seen = _observed(net, planned.options, wiring, generator)
    criterion = SALIENCY[planned.options.saliency]
    for k in range(1, criterion.rounds + 1):
        density = density_at(k, criterion.rounds, planned.density, schedule="geometric")
        measured = {} if criterion.measure is None else criterion.measure(net)
        within = {
            unit: density_at(k, criterion.rounds, share, schedule="geometric")
            for unit, share in planned.within.items()
        }
        yield (
            planned._replace(density=density, within=within),
            replace(seen, measured=measured),
        )


def _observed(
    net: InitialNet, options: PruneOptions, wiring: Wiring, generator: torch.Generator
) -> Observations:
    """Observe forwards of a copy in training mode: the norms' running statistics are empty yet."""
    needs = needs_of(options)
    if "potentials" not in needs:
        return Observations(generator)
    if not net.batches:
        raise ConfigError(
            "the event at the start needs potentials or firing rates, measured on training "
            "batches; call pruner.begin(batches, loss) with pairs of input and target"
        )
    reset(net.model)  # the state of an unfinished forward has a graph
    model: nn.Module = copy.deepcopy(net.model).train()
    how, moments = options.criticality, "moments" in needs
    observer = Observer(
        model, how, time_steps=net.time_steps, train=True, moments=moments, wiring=wiring
    )
    operands = WeightOperands(model, wiring, train=True) if "operands" in needs else None
    filtered = filtered_inputs(
        needs, model, wiring, net.layers, time_steps=net.time_steps, train=True
    )
    with torch.no_grad(), observer, operands or nullcontext(), filtered or nullcontext():
        for x, _ in map(pair_of, net.batches):
            forward(model, x, time_steps=net.time_steps, layout=net.layout)
    seen = with_filtered(Observations(generator, observer.compute()), filtered)
    return with_operands(seen, operands)


def cost_at_start(net: InitialNet, options: PruneOptions) -> float:
    """Return the cost of the event at step 0, in training steps of one sample."""
    samples = sum(len(y) for _, y in map(pair_of, net.batches))
    observed = samples / 3 if "potentials" in needs_of(options) else 0.0  # forward only
    return observed + SALIENCY[options.saliency].cost(samples, net.time_steps)
