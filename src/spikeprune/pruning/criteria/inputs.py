"""The inputs of criteria, and the criterion itself: a score and what it needs to be observed."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.observing.potential_sums import ChannelStats
from spikeprune.pruning.criteria.at_initialization import InitialNet
from spikeprune.wiring.wiring import Wiring

Need = Literal[
    "potentials", "moments", "gradient", "last-magnitude", "operands", "filtered-inputs", "gains",
    "squared-gradients", "filtered-products",
]  # fmt: skip
"""An observation that a criterion or a budget asks for.

- `potentials`: criticality and firing rate of every neuron;
- `moments`: mean, variance and mean size of the membrane potentials as well;
- `gradient`: the dense gradient of the step at whose end the event happens;
- `last-magnitude`: the magnitude of every weight when it was last live;
- `operands`: non-zero operands per weight of every layer;
- `filtered-inputs`: mean square of what every weight reads, filtered as its neuron's membrane does;
- `filtered-products`: second moments of what the weights of a row read, filtered like that;
- `squared-gradients`: mean square of the gradients of the training steps before the event;
- `gains`: of the BatchNorm behind every layer; `moments` include them.
"""


_OF_TRAINING: frozenset[Need] = frozenset({"gradient", "squared-gradients"})
"""Observations that training makes by itself, of weights of any layer."""


@dataclass(frozen=True)
class Observations:
    """What was observed for one event, before anything is chosen.

    Attributes:
        generator: for random scores.
        stats: criticality, firing rate and moments by neuron; empty unless needed.
        gradients: dense gradients of the last batch by parameter name; empty unless needed.
        operands: non-zero operands per sample and weight position, by layer (see
            `measuring.weight_operands`); empty unless needed.
        multiplying: layers that read other values than spikes; empty unless operands are needed.
        filtered: mean square of the filtered input per weight position, by layer (see
            `measuring.filtered_inputs`); empty unless needed.
        products: their products of every two weights of a row, by layer; empty unless needed.
        squares: mean square of the gradients before the event by parameter; empty unless needed.
        measured: scores by layer that a criterion measured at initialization.
    """

    generator: torch.Generator
    stats: Mapping[str, ChannelStats] = field(default_factory=dict)
    gradients: Mapping[str, Tensor] = field(default_factory=dict)
    operands: Mapping[str, Tensor] = field(default_factory=dict)
    multiplying: frozenset[str] = frozenset()
    filtered: Mapping[str, Tensor] = field(default_factory=dict)
    products: Mapping[str, Tensor] = field(default_factory=dict)
    squares: Mapping[str, Tensor] = field(default_factory=dict)
    measured: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Samples that the statistics are of."""
        return next(iter(self.stats.values())).samples


@dataclass(frozen=True)
class ScoreInputs:
    """The inputs of a criterion of weights; tensors by layer.

    Attributes:
        seen: what was observed for this event.
        wiring: which weights feed which neurons.
        criticality: how criticality becomes the score of a weight.
        time_steps: T.
        live: bool, which weights were live before the event.
        last_magnitude: current `|w|` of live weights, last live `|w|` of pruned ones; empty
            unless needed.
        gains: `|gamma| / sqrt(var + eps)` of the BatchNorm behind, `[C_out]`; 1 where there is
            none; empty unless `moments` or `gains` are needed.
        latent: scores that latent weights hold, shaped as the weights; empty without them.
    """

    seen: Observations
    wiring: Wiring
    criticality: CriticalityOptions
    time_steps: int
    live: Mapping[str, Tensor] = field(default_factory=dict)
    last_magnitude: Mapping[str, Tensor] = field(default_factory=dict)
    gains: Mapping[str, Tensor] = field(default_factory=dict)
    latent: Mapping[str, Tensor] = field(default_factory=dict)

    def gradient(self, layer: str) -> Tensor:
        """Return the dense gradient of a layer's weight; needs `gradient`."""
        return self.seen.gradients[f"{layer}.weight"]

    def pre_rates(self, layer: str) -> Tensor:
        """Return how often each input channel of a layer is not zero, `[C_in]`."""
        return self.wiring.source_rates(layer, {n: s.rate for n, s in self.seen.stats.items()})

    def post(self, layer: str, values: Mapping[str, Tensor]) -> Tensor:
        """Map one value per neuron channel to the output channels of a layer, `[C_out]`."""
        return self.wiring.spread(layer, {n: values[n] for n in self.wiring.layers[layer].feeds})


@dataclass(frozen=True)
class Criterion:
    """A score of weights, to drop by (saliency) or to bring back by (regrowth).

    `score` takes layer name, weight and inputs; it returns a tensor that broadcasts to the weight.
    With `compensates` the weights that stay of a row make up for those that are dropped.
    `check` refuses nets that `measure` cannot measure, before any training.
    `latent` says which latent weights are trained for it (`pruning.weights.latent_weights`): those
    of a soft `threshold`, or `gates`; it then ranks dead weights, too.
    `cost` takes the number of samples and T and returns the cost of all rounds of `measure`, in
    training steps (forward and backward over all T) of one sample.
    """

    score: Callable[[str, Tensor, ScoreInputs], Tensor]
    needs: AbstractSet[Need] = frozenset()
    everywhere: bool = True  # defined also for layers that feed no spiking neuron
    compensates: bool = False  # needs `filtered-products`
    measure: Callable[[InitialNet], dict[str, Tensor]] | None = None  # at initialization, by layer
    check: Callable[[InitialNet, Wiring], None] | None = None
    rounds: int = 1  # events of geometrically falling density in which `measure` prunes
    latent: Literal["threshold", "gates"] | None = None
    cost: Callable[[int, int], float] = lambda samples, time_steps: 0.0


def weight_scores(
    criterion: Criterion,
    weights: Mapping[str, Tensor],
    inputs: ScoreInputs,
    *,
    everywhere: bool = True,
) -> dict[str, Tensor]:
    """Return the score of every layer, broadcastable to its weight.

    Layers that feed no spiking neuron are left out unless both `everywhere` hold, and transposed
    convolutions wherever something observed is needed.
    """
    layers = inputs.wiring.layers
    return {
        name: criterion.score(name, weight, inputs)
        for name, weight in weights.items()
        if (layers[name].feeds or (everywhere and criterion.everywhere))
        and not (layers[name].kind == "transposed" and criterion.needs - _OF_TRAINING)
    }
