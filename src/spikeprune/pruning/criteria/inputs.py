"""What an event may look at, and what each score asks to be gathered for it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from spikeprune.observing.potential_sums import ChannelStats
from spikeprune.wiring.wiring import Wiring

if TYPE_CHECKING:  # options take their valid names from the registries of scores
    from spikeprune.observing.criticality_options import CriticalityOptions
    from spikeprune.pruning.criteria.at_initialization import Passes


class Needs(NamedTuple):
    """What is gathered for an event.

    Attributes:
        potentials: criticality and firing rate of every neuron.
        moments: mean, variance and mean size of the potentials too.
        gradient: the dense gradient of the step at whose end the event happens.
        memory: the magnitude that every weight had when it was last live.
        reads: what the weights of every layer read.
    """

    potentials: bool = False
    moments: bool = False
    gradient: bool = False
    memory: bool = False
    reads: bool = False

    @classmethod
    def of(cls, many: Iterable["Needs"]) -> "Needs":
        """Return what any of `many` needs."""
        return cls(*map(any, zip(cls(), *many, strict=True)))


NOTHING = Needs()


@dataclass(frozen=True)
class Observations:
    """What the training gave for one event, before anything is chosen.

    Attributes:
        stats: criticality, firing rate and moments by neuron; empty unless potentials are needed.
        gradients: dense gradients of the last batch by parameter name; empty unless needed.
        passes: scores that took passes of their own before training, by layer.
        reads: per sample, by layer (see `measuring.weight_operands`); empty unless needed.
        generator: for what is drawn.
    """

    stats: Mapping[str, ChannelStats]
    gradients: Mapping[str, Tensor]
    generator: torch.Generator
    passes: Mapping[str, Tensor] = field(default_factory=dict)
    reads: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoreInputs:
    """What a score of weights may look at; tensors by layer unless said otherwise.

    Attributes:
        stats: criticality and firing rate by neuron; empty unless a score needs `potentials`.
        gradients: dense gradients of the last batch; empty unless a score needs them.
        wiring: which weights feed which neurons.
        criticality: how criticality becomes the score of a weight.
        time_steps: T.
        generator: for what is drawn.
        live: bool, what lives before the event.
        memory: `|w|` of what lives, of the dead the one they last had; empty unless needed.
        gains: `|gamma| / sqrt(var + eps)` of the BatchNorm behind, [C_out]; 1 where there is none.
        passes: scores that took passes of their own before training.
    """

    stats: Mapping[str, ChannelStats]
    gradients: Mapping[str, Tensor]
    wiring: Wiring
    criticality: "CriticalityOptions"
    time_steps: int
    generator: torch.Generator
    live: Mapping[str, Tensor] = field(default_factory=dict)
    memory: Mapping[str, Tensor] = field(default_factory=dict)
    gains: Mapping[str, Tensor] = field(default_factory=dict)
    passes: Mapping[str, Tensor] = field(default_factory=dict)

    def pre_rates(self, layer: str) -> Tensor:
        """Return how often each input channel of a layer is not zero, `[C_in]`."""
        return self.wiring.source_rates(layer, {n: s.rate for n, s in self.stats.items()})

    def post(self, layer: str, values: Mapping[str, Tensor]) -> Tensor:
        """Bring a value per channel of the neurons to the output channels of a layer, `[C_out]`."""
        return self.wiring.spread(layer, {n: values[n] for n in self.wiring.layers[layer].feeds})


def _none(samples: int, time_steps: int) -> float:
    return 0.0


@dataclass(frozen=True)
class Criterion:
    """A score of weights, as saliency or for regrowth, and what it needs.

    Attributes:
        score: function of layer name, weight and evidence; broadcasts to the weight.
        needs: what is gathered for it.
        everywhere: whether it is defined for layers that feed no spiking neuron.
        measure: for a score that takes passes of its own before training: what measures it, by
            layer.
        rounds: in how many events of geometrically falling density `measure` prunes; 1 at once.
        passes: from the number of samples and T to what `measure` costs in all rounds, in training
            steps (forward and backward over all T) of one sample.
    """

    score: Callable[[str, Tensor, ScoreInputs], Tensor]
    needs: Needs = NOTHING
    everywhere: bool = True
    measure: "Callable[[Passes], dict[str, Tensor]] | None" = None
    rounds: int = 1
    passes: Callable[[int, int], float] = _none
