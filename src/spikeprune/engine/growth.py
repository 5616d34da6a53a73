"""What to bring back: regrowth scores of weights by name. Adding one is a function and a row."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spikeprune.engine.observe import ChannelStats
from spikeprune.engine.wiring import Wiring
from spikeprune.science import regrowth
from spikeprune.science.criticality import rank_in_layer

if TYPE_CHECKING:  # options take their valid names from here
    from spikeprune.engine.options import CriticalityOptions, PruneOptions

__all__ = ["GROWTH", "Evidence", "Growth", "growth_scores", "needs_gradient", "needs_potentials"]


@dataclass(frozen=True)
class Evidence:
    """What a score may look at.

    Attributes:
        stats: criticality and firing rate per neuron; empty unless the score `potentials`.
        gradients: dense gradients of the last batch by layer; empty unless a score needs them.
        wiring: which weights feed which neurons.
        criticality: how criticality becomes the score of a weight.
        time_steps: T.
        generator: for what is drawn.
    """

    stats: Mapping[str, ChannelStats]
    gradients: Mapping[str, Tensor]
    wiring: Wiring
    criticality: "CriticalityOptions"
    time_steps: int
    generator: torch.Generator


@dataclass(frozen=True)
class Growth:
    """A regrowth score: a function of layer name, weight and evidence, and what it needs.

    `score` returns a non-negative tensor that broadcasts to the weight (see `science.regrowth`).
    """

    score: Callable[[str, Tensor, Evidence], Tensor]
    potentials: bool = False
    gradient: bool = False


def _criticality(name: str, weight: Tensor, given: Evidence) -> Tensor:
    options, stats, wiring = given.criticality, given.stats, given.wiring
    feeds = wiring.layers[name].feeds
    score = wiring.spread(name, {neuron: stats[neuron].score for neuron in feeds})
    if options.normalise == "layer":
        score = rank_in_layer(score)
    rates = wiring.source_rates(name, {neuron: s.rate for neuron, s in stats.items()})
    match options.weight:
        case "post*pre":
            growth = regrowth.criticality_rate(weight, score, rates)
        case "post*grad":
            growth = regrowth.criticality_gradient(weight, score, given.gradients[name])
        case _:
            growth = regrowth.criticality(weight, score)
    if options.normalise == "synops":
        # One more weight reads its presynaptic channel at every output position and time step.
        positions = math.prod(wiring.layers[name].output_shape[1:])
        added = regrowth.criticality_rate(
            weight, torch.ones_like(score), rates * positions * given.time_steps
        )
        growth = regrowth.synops_normalised(growth, added, stats[feeds[0]].samples)
    return growth


def _random(name: str, weight: Tensor, given: Evidence) -> Tensor:
    return regrowth.random(weight, given.generator)


def _gradient(name: str, weight: Tensor, given: Evidence) -> Tensor:
    return regrowth.gradient(weight, given.gradients[name])


GROWTH: Mapping[str, Growth] = {
    "criticality": Growth(_criticality, potentials=True),
    "random": Growth(_random),
    "gradient": Growth(_gradient, gradient=True),
}
"""Every regrowth score of weights; `none` is the absence of one."""


def needs_potentials(options: "PruneOptions") -> bool:
    """Return whether what regrows is chosen by membrane potentials or firing rates."""
    return options.regrow in GROWTH and GROWTH[options.regrow].potentials


def needs_gradient(options: "PruneOptions") -> bool:
    """Return whether what regrows is chosen by dense gradients."""
    weighted = needs_potentials(options) and options.criticality.weight == "post*grad"
    return weighted or (options.regrow in GROWTH and GROWTH[options.regrow].gradient)


def growth_scores(weights: Mapping[str, Tensor], regrow: str, given: Evidence) -> dict[str, Tensor]:
    """Return per layer what to bring back first, broadcastable to the weight (section 3, step 4).

    Layers that feed no neuron have no score.

    Args:
        weights: prunable weights by layer name.
        regrow: a name of `GROWTH`, or `none`, which gives an empty mapping.
        given: what the score looks at.
    """
    if regrow not in GROWTH:
        return {}
    score = GROWTH[regrow].score
    return {
        name: score(name, weight, given)
        for name, weight in weights.items()
        if given.wiring.layers[name].feeds
    }
