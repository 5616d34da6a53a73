"""What to bring back: regrowth scores of weights by name. Adding one is a function and a row."""

import math
from collections.abc import Mapping

from torch import Tensor

from spikeprune.pruning.criteria.inputs import Evidence, Needs, Score
from spikeprune.science import regrowth, saliency
from spikeprune.science.criticality import rank_in_layer


def channel_criticality(name: str, given: Evidence) -> Tensor:
    """Return the criticality of the channels that a layer feeds, `[C_out]`, ranked if asked for."""
    score = given.post(name, {neuron: s.score for neuron, s in given.stats.items()})
    return rank_in_layer(score) if given.criticality.normalise == "layer" else score


def _criticality(name: str, weight: Tensor, given: Evidence) -> Tensor:
    return _of_weights(name, weight, channel_criticality(name, given), given)


def _shuffled(name: str, weight: Tensor, given: Evidence) -> Tensor:
    score = regrowth.shuffled(channel_criticality(name, given), given.generator)
    return _of_weights(name, weight, score, given)


def _of_weights(name: str, weight: Tensor, score: Tensor, given: Evidence) -> Tensor:
    rates = given.pre_rates(name)
    match given.criticality.weight:
        case "post*pre":
            growth = regrowth.criticality_rate(weight, score, rates)
        case "post*grad":
            growth = regrowth.criticality_gradient(weight, score, given.gradients[name])
        case _:
            growth = regrowth.criticality(weight, score)
    if given.criticality.normalise == "synops":
        return _per_synop(name, weight, growth, given)
    return growth


def _per_synop(name: str, weight: Tensor, growth: Tensor, given: Evidence) -> Tensor:
    # One more weight reads its presynaptic channel at every output position and time step.
    layer = given.wiring.layers[name]
    positions = math.prod(layer.output_shape[1:])
    added = regrowth.criticality_rate(
        weight,
        weight.new_ones(len(weight)),
        given.pre_rates(name) * positions * given.time_steps,
    )
    return regrowth.synops_normalised(growth, added, given.stats[layer.feeds[0]].samples)


def _criticality_magnitude(name: str, weight: Tensor, given: Evidence) -> Tensor:
    score = channel_criticality(name, given)
    return regrowth.criticality_magnitude(weight, score, given.memory[name])


def _crisis(name: str, weight: Tensor, given: Evidence) -> Tensor:
    moments = {n: given.stats[n].potential for n in given.wiring.layers[name].feeds}
    density = given.post(
        name, {n: saliency.threshold_density(m.mean, m.variance) for n, m in moments.items()}
    )
    return saliency.crisis(given.memory[name], given.pre_rates(name), given.gains[name], density)


def _random(name: str, weight: Tensor, given: Evidence) -> Tensor:
    return regrowth.random(weight, given.generator)


def _gradient(name: str, weight: Tensor, given: Evidence) -> Tensor:
    return regrowth.gradient(weight, given.gradients[name])


CRISIS = Score(_crisis, Needs(potentials=True, moments=True, memory=True), everywhere=False)

GROWTH: Mapping[str, Score] = {
    "criticality": Score(_criticality, Needs(potentials=True), everywhere=False),
    "criticality-magnitude": Score(
        _criticality_magnitude, Needs(potentials=True, memory=True), everywhere=False
    ),
    "criticality-shuffled": Score(_shuffled, Needs(potentials=True), everywhere=False),
    "crisis": CRISIS,
    "gradient": Score(_gradient, Needs(gradient=True)),
    "random": Score(_random),
}
"""Every regrowth score of weights; `none` is the absence of one."""

BY_CRITICALITY = ("criticality", "criticality-shuffled")
"""Those that go by the options of criticality, `criticality.weight` included."""


def growth_scores(
    weights: Mapping[str, Tensor], regrow: str, given: Evidence, *, everywhere: bool = False
) -> dict[str, Tensor]:
    """Return per layer what to bring back first, broadcastable to the weight (section 3, step 4).

    Args:
        weights: prunable weights by layer name.
        regrow: a name of `GROWTH`, or `none`, which gives an empty mapping.
        given: what the score looks at.
        everywhere: whether layers that feed no neuron take part, if the score is defined there.
    """
    if regrow not in GROWTH:
        return {}
    row = GROWTH[regrow]
    return {
        name: row.score(name, weight, given)
        for name, weight in weights.items()
        if given.wiring.layers[name].feeds or (everywhere and row.everywhere)
    }
