"""What to drop: saliencies of weights by name. Adding one is a function and a row."""

from collections.abc import Mapping

from torch import Tensor

from spikeprune.pruning.criteria import at_initialization as at_start
from spikeprune.pruning.criteria.growth import CRISIS, channel_criticality
from spikeprune.pruning.criteria.inputs import Evidence, Needs, Score
from spikeprune.science import regrowth, saliency


def _magnitude(name: str, weight: Tensor, given: Evidence) -> Tensor:
    return saliency.magnitude(weight)


def _signed(name: str, weight: Tensor, given: Evidence) -> Tensor:
    return saliency.signed_rank(weight, given.live[name])


def _random(name: str, weight: Tensor, given: Evidence) -> Tensor:
    return saliency.random(weight, given.generator)


def _criticality_magnitude(name: str, weight: Tensor, given: Evidence) -> Tensor:
    score = channel_criticality(name, given)
    return regrowth.criticality_magnitude(weight, score, saliency.magnitude(weight))


def _drive(name: str, weight: Tensor, given: Evidence) -> Tensor:
    return saliency.drive(weight, given.pre_rates(name))


def _measured(name: str, weight: Tensor, given: Evidence) -> Tensor:
    return given.passes[name]


SALIENCY: Mapping[str, Score] = {
    "magnitude": Score(_magnitude),
    "signed-magnitude": Score(_signed),
    "random": Score(_random),
    "criticality-magnitude": Score(
        _criticality_magnitude, Needs(potentials=True), everywhere=False
    ),
    "crisis": CRISIS,
    "firing-rate": Score(_drive, Needs(potentials=True)),
    "snip": Score(_measured, measure=at_start.snip, passes=lambda samples, _: samples),
    # Two gradients, and the backward of the second one: twice the work of what it runs through.
    "grasp": Score(_measured, measure=at_start.grasp, passes=lambda samples, _: samples * 10 / 3),
    "synflow": Score(
        _measured,
        measure=at_start.synflow,
        rounds=at_start.SYNFLOW_ROUNDS,
        passes=lambda _, time_steps: at_start.SYNFLOW_ROUNDS / time_steps,  # one slice a round
    ),
}
"""Every saliency of weights; those with a `measure` are taken before training only."""


def weight_saliency(weights: Mapping[str, Tensor], kind: str, given: Evidence) -> dict[str, Tensor]:
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
