"""A net whose neurons a method needs but does not find: refused, or pruned by magnitude."""

from typing import Any

from torch import nn

from spikeprune.errors import SpikePruneError
from spikeprune.execution.forward import Layout
from spikeprune.pruning.needs import needs_of
from spikeprune.pruning.options import PruneOptions
from spikeprune.wiring.trace import trace
from spikeprune.wiring.wiring import Wiring

NO_NEURON = (
    "expected spiking neurons whose potentials rank the weights, but {}; prune by "
    "method='magnitude', or declare the neurons: spikeprune.extend.spikes(...)"
)
"""The refusal, with the note of the wiring that says what was found instead."""
_NEEDS_NEURONS = {"potentials", "moments"}


def lacks_neurons(options: PruneOptions, wiring: Wiring) -> bool:
    """Return whether weights are ranked by neurons, and no layer feeds one that can be observed."""
    by_neurons = bool(needs_of(options, start=True) & _NEEDS_NEURONS)
    return options.granularity == "weight" and by_neurons and not wiring.mapped


def other_layout(model: nn.Module, example: Any, *, time_steps: int, layout: Layout | None) -> str:
    """Return a sentence on the layout that shows neurons where the given one does not, or ''."""
    if not isinstance(layout, str):
        return ""
    try:
        found = trace(model, example, time_steps=time_steps)
    except SpikePruneError:
        return ""
    if not found.mapped:
        return ""
    return (
        f"no neuron runs {time_steps} steps when the net is called as layout={layout!r} says, but "
        f"{len(found.neurons)} do with layout={found.layout!r}: give that"
    )
