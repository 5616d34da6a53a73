"""What to drop: saliencies of weights by name. Adding one is a function and a row."""

import math
from collections.abc import Mapping

from torch import Tensor

from spikeprune.pruning.criteria import at_initialization as at_start
from spikeprune.pruning.criteria.inputs import Criterion, Needs, ScoreInputs
from spikeprune.science import regrowth, saliency
from spikeprune.science.criticality import rank_in_layer


def channel_criticality(name: str, given: ScoreInputs) -> Tensor:
    """Return the criticality of the channels that a layer feeds, `[C_out]`, ranked if asked for."""
    score = given.post(name, {neuron: s.score for neuron, s in given.stats.items()})
    return rank_in_layer(score) if given.criticality.normalise == "layer" else score


def _regrow_criticality(name: str, weight: Tensor, given: ScoreInputs) -> Tensor:
    return _of_weights(name, weight, channel_criticality(name, given), given)


def _regrow_shuffled(name: str, weight: Tensor, given: ScoreInputs) -> Tensor:
    score = regrowth.shuffled(channel_criticality(name, given), given.generator)
    return _of_weights(name, weight, score, given)


def _of_weights(name: str, weight: Tensor, score: Tensor, given: ScoreInputs) -> Tensor:
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


def _per_synop(name: str, weight: Tensor, growth: Tensor, given: ScoreInputs) -> Tensor:
    # One more weight reads its presynaptic channel at every output position and time step.
    layer = given.wiring.layers[name]
    positions = math.prod(layer.output_shape[1:])
    added = regrowth.criticality_rate(
        weight,
        weight.new_ones(len(weight)),
        given.pre_rates(name) * positions * given.time_steps,
    )
    return regrowth.synops_normalised(growth, added, given.stats[layer.feeds[0]].samples)


def _regrow_criticality_magnitude(name: str, weight: Tensor, given: ScoreInputs) -> Tensor:
    score = channel_criticality(name, given)
    return regrowth.criticality_magnitude(weight, score, given.memory[name])


def _crisis(name: str, weight: Tensor, given: ScoreInputs) -> Tensor:
    moments = {n: given.stats[n].potential for n in given.wiring.layers[name].feeds}
    density = given.post(
        name, {n: saliency.threshold_density(m.mean, m.variance) for n, m in moments.items()}
    )
    return saliency.crisis(given.memory[name], given.pre_rates(name), given.gains[name], density)


def _regrow_random(name: str, weight: Tensor, given: ScoreInputs) -> Tensor:
    return regrowth.random(weight, given.generator)


def _regrow_gradient(name: str, weight: Tensor, given: ScoreInputs) -> Tensor:
    return regrowth.gradient(weight, given.gradients[name])


CRISIS = Criterion(_crisis, Needs(potentials=True, moments=True, memory=True), everywhere=False)


def _magnitude(name: str, weight: Tensor, given: ScoreInputs) -> Tensor:
    return saliency.magnitude(weight)


def _signed(name: str, weight: Tensor, given: ScoreInputs) -> Tensor:
    return saliency.signed_rank(weight, given.live[name])


def _random(name: str, weight: Tensor, given: ScoreInputs) -> Tensor:
    return saliency.random(weight, given.generator)


def _criticality_magnitude(name: str, weight: Tensor, given: ScoreInputs) -> Tensor:
    score = channel_criticality(name, given)
    return regrowth.criticality_magnitude(weight, score, saliency.magnitude(weight))


def _drive(name: str, weight: Tensor, given: ScoreInputs) -> Tensor:
    return saliency.drive(weight, given.pre_rates(name))


def _measured(name: str, weight: Tensor, given: ScoreInputs) -> Tensor:
    return given.passes[name]


SALIENCY: Mapping[str, Criterion] = {
    "magnitude": Criterion(_magnitude),
    "signed-magnitude": Criterion(_signed),
    "random": Criterion(_random),
    "criticality-magnitude": Criterion(
        _criticality_magnitude, Needs(potentials=True), everywhere=False
    ),
    "crisis": CRISIS,
    "firing-rate": Criterion(_drive, Needs(potentials=True)),
    "snip": Criterion(_measured, measure=at_start.snip, passes=lambda samples, _: samples),
    # Two gradients, and the backward of the second one: twice the work of what it runs through.
    "grasp": Criterion(
        _measured, measure=at_start.grasp, passes=lambda samples, _: samples * 10 / 3
    ),
    "synflow": Criterion(
        _measured,
        measure=at_start.synflow,
        rounds=at_start.SYNFLOW_ROUNDS,
        passes=lambda _, time_steps: at_start.SYNFLOW_ROUNDS / time_steps,  # one slice a round
    ),
}
"""Every saliency of weights; those with a `measure` are taken before training only."""


def weight_saliency(
    weights: Mapping[str, Tensor], kind: str, given: ScoreInputs
) -> dict[str, Tensor]:
    """Return the saliency of every weight, shaped as the weight; it may be a view.

    A layer for which it is not defined, because it feeds no spiking neuron, has none.

    Args:
        weights: prunable weights by layer name.
        kind: a name of `SALIENCY`.
        given: what the score looks at.
    """
    row = SALIENCY[kind]
    return {
        name: row.score(name, weight, given).expand(weight.shape)
        for name, weight in weights.items()
        if row.everywhere or given.wiring.layers[name].feeds
    }


REGROWTH: Mapping[str, Criterion] = {
    "criticality": Criterion(_regrow_criticality, Needs(potentials=True), everywhere=False),
    "criticality-magnitude": Criterion(
        _regrow_criticality_magnitude, Needs(potentials=True, memory=True), everywhere=False
    ),
    "criticality-shuffled": Criterion(_regrow_shuffled, Needs(potentials=True), everywhere=False),
    "crisis": CRISIS,
    "gradient": Criterion(_regrow_gradient, Needs(gradient=True)),
    "random": Criterion(_regrow_random),
}
"""Every regrowth score of weights; `none` is the absence of one."""


BY_CRITICALITY = ("criticality", "criticality-shuffled")
"""Those that go by the options of criticality, `criticality.weight` included."""


def growth_scores(
    weights: Mapping[str, Tensor], regrow: str, given: ScoreInputs, *, everywhere: bool = False
) -> dict[str, Tensor]:
    """Return per layer what to bring back first, broadcastable to the weight (section 3, step 4).

    Args:
        weights: prunable weights by layer name.
        regrow: a name of `REGROWTH`, or `none`, which gives an empty mapping.
        given: what the score looks at.
        everywhere: whether layers that feed no neuron take part, if the score is defined there.
    """
    if regrow not in REGROWTH:
        return {}
    row = REGROWTH[regrow]
    return {
        name: row.score(name, weight, given)
        for name, weight in weights.items()
        if given.wiring.layers[name].feeds or (everywhere and row.everywhere)
    }
