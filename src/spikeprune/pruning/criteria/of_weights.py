"""Criteria of weights by name: what to drop and what to bring back. One is a function and a row."""

import math

from torch import Tensor, float32, promote_types

from spikeprune.pruning.criteria.at_initialization import (
    SYNFLOW_ROUNDS,
    check_synflow,
    grasp,
    snip,
    synflow,
)
from spikeprune.pruning.criteria.inputs import Criterion, ScoreInputs
from spikeprune.science import regrowth, saliency
from spikeprune.science.brain_surgeon import damped, single_errors
from spikeprune.science.broadcast import per_output
from spikeprune.science.cost import weight_costs
from spikeprune.science.criticality import rank_in_layer


def channel_criticality(layer: str, inputs: ScoreInputs) -> Tensor:
    """Return the criticality of the channels that a layer feeds, `[C_out]`, ranked if asked for."""
    score = inputs.post(layer, {neuron: s.score for neuron, s in inputs.seen.stats.items()})
    return rank_in_layer(score) if inputs.criticality.normalise == "layer" else score


def _magnitude(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    return saliency.magnitude(weight)


def _signed_magnitude(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    return saliency.signed_rank(weight, inputs.live[layer])


def _random(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    return saliency.random(weight, inputs.seen.generator)


def _drive(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    return saliency.drive(weight, inputs.pre_rates(layer))


def _lamp(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    return saliency.lamp(weight, inputs.live[layer])


def _distortion(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    operands = inputs.seen.operands[layer].to(weight.device)
    return saliency.distortion(weight, weight_costs(weight, operands))


def _wanda(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    read = inputs.seen.filtered[layer].to(weight.device)
    return saliency.wanda(weight, weight_costs(weight, read), inputs.gains[layer])


def _sbc(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    moment = damped(inputs.seen.products[layer].to(weight.device))
    gain = per_output(weight.double(), inputs.gains[layer].double().square())
    return (single_errors(weight, moment) * gain).to(promote_types(weight.dtype, float32))


def _taylor(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    return saliency.taylor(weight, inputs.gradient(layer))


def _fisher(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    return saliency.fisher(weight, inputs.seen.squares[f"{layer}.weight"])


def _spike_effect(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    score = channel_criticality(layer, inputs)
    return saliency.spike_effect(weight, inputs.pre_rates(layer), score)


def _shuffled_spike_effect(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    score = regrowth.shuffled(channel_criticality(layer, inputs), inputs.seen.generator)
    return saliency.spike_effect(weight, inputs.pre_rates(layer), score)


def _latent(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    return inputs.latent[layer]


def _measured(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    return inputs.seen.measured[layer]


def _critical_magnitude(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    score = channel_criticality(layer, inputs)
    return regrowth.criticality_magnitude(weight, score, saliency.magnitude(weight))


def _critical_last_magnitude(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    score = channel_criticality(layer, inputs)
    return regrowth.criticality_magnitude(weight, score, inputs.last_magnitude[layer])


def _crisis(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    stats = inputs.seen.stats
    moments = {name: stats[name].potential for name in inputs.wiring.layers[layer].feeds}
    density = inputs.post(
        layer, {n: saliency.threshold_density(m.mean, m.variance) for n, m in moments.items()}
    )
    last, rates = inputs.last_magnitude[layer], inputs.pre_rates(layer)
    return saliency.crisis(last, rates, inputs.gains[layer], density)


def _criticality(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    return _of_weights(layer, weight, channel_criticality(layer, inputs), inputs)


def _shuffled_criticality(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    score = regrowth.shuffled(channel_criticality(layer, inputs), inputs.seen.generator)
    return _of_weights(layer, weight, score, inputs)


def _of_weights(layer: str, weight: Tensor, score: Tensor, inputs: ScoreInputs) -> Tensor:
    """Return the score of each weight from that of its channel, by `criticality.weight`."""
    match inputs.criticality.weight:
        case "post*pre":
            scores = regrowth.criticality_rate(weight, score, inputs.pre_rates(layer))
        case "post*grad":
            scores = regrowth.criticality_gradient(weight, score, inputs.gradient(layer))
        case _:
            scores = regrowth.criticality(weight, score)
    if inputs.criticality.normalise != "synops":
        return scores
    # One more weight reads its presynaptic channel at every output position and time step.
    row = inputs.wiring.layers[layer]
    reads = inputs.pre_rates(layer) * math.prod(row.output_shape[1:]) * inputs.time_steps
    added = regrowth.criticality_rate(weight, weight.new_ones(len(weight)), reads)
    return regrowth.synops_normalised(scores, added, inputs.seen.stats[row.feeds[0]].samples)


def _gradient(layer: str, weight: Tensor, inputs: ScoreInputs) -> Tensor:
    return regrowth.gradient(weight, inputs.gradient(layer))


_CRISIS = Criterion(_crisis, {"potentials", "moments", "last-magnitude"}, everywhere=False)

SALIENCY: dict[str, Criterion] = {
    "magnitude": Criterion(_magnitude),
    "signed-magnitude": Criterion(_signed_magnitude),
    "random": Criterion(_random),
    "criticality-magnitude": Criterion(_critical_magnitude, {"potentials"}, everywhere=False),
    "crisis": _CRISIS,
    "firing-rate": Criterion(_drive, {"potentials"}),
    "lamp": Criterion(_lamp),
    "distortion": Criterion(_distortion, {"potentials", "operands"}),
    "wanda": Criterion(_wanda, {"potentials", "filtered-inputs", "gains"}),
    "sbc": Criterion(_sbc, {"potentials", "filtered-products", "gains"}, compensates=True),
    "taylor": Criterion(_taylor, {"gradient"}),
    "fisher": Criterion(_fisher, {"squared-gradients"}),
    "spike-effect": Criterion(_spike_effect, {"potentials"}, everywhere=False),
    "spike-effect-shuffled": Criterion(_shuffled_spike_effect, {"potentials"}, everywhere=False),
    "latent-magnitude": Criterion(_latent, latent="threshold"),
    "gate": Criterion(_latent, latent="gates"),
    "snip": Criterion(_measured, measure=snip, cost=lambda samples, time_steps: samples),
    # Two gradients, and the backward of the second one: twice the work of its forward pass.
    "grasp": Criterion(_measured, measure=grasp, cost=lambda samples, time_steps: samples * 10 / 3),
    "synflow": Criterion(
        _measured,
        measure=synflow,
        check=check_synflow,
        rounds=SYNFLOW_ROUNDS,
        cost=lambda samples, time_steps: SYNFLOW_ROUNDS / time_steps,
    ),
}
"""What is dropped first, the lowest; those with a `measure` are taken at initialization only."""

REGROWTH: dict[str, Criterion] = {
    "criticality": Criterion(_criticality, {"potentials"}, everywhere=False),
    "criticality-magnitude": Criterion(
        _critical_last_magnitude, {"potentials", "last-magnitude"}, everywhere=False
    ),
    "criticality-shuffled": Criterion(_shuffled_criticality, {"potentials"}, everywhere=False),
    "crisis": _CRISIS,
    "gradient": Criterion(_gradient, {"gradient"}),
    "random": Criterion(_random),
}
"""What is brought back first, the highest; `none` is the absence of one."""

BY_CRITICALITY = ("criticality", "criticality-shuffled")
"""Regrowth that `criticality.weight` applies to."""
