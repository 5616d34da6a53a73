"""Regrowth scores: which weights to bring back, larger first.

Each function returns a detached, non-negative tensor that broadcasts to the weight
`[C_out, C_in / groups, *kernel]`; channel scores are `[C_out]`, dimensionless and non-negative.
A score that is constant over an axis has length 1 there, so that a selection need not look at every
weight. Each raises a `ModelError` where scores, rates or gradients do not fit the weight.
"""

import torch
from torch import Tensor

from spikeprune.errors import ModelError
from spikeprune.science import saliency
from spikeprune.science.broadcast import per_input, per_output


def _size_of(weight: Tensor, gradient: Tensor) -> Tensor:
    if gradient.shape != weight.shape:
        raise ModelError(
            f"expected a gradient of shape {tuple(weight.shape)}, got {tuple(gradient.shape)}"
        )
    return gradient.detach().abs()


def criticality(weight: Tensor, channel_score: Tensor) -> Tensor:
    """Return the score of the channel that each weight feeds, `[C_out, 1, ...]` (the paper's rule).

    Source: method, section 2, option `weight = post`.
    """
    return per_output(weight, channel_score)


def criticality_rate(weight: Tensor, channel_score: Tensor, pre_rate: Tensor) -> Tensor:
    """Return the score times the firing rate of the presynaptic channel (`post*pre`).

    `pre_rate` is `[C_in]`, spikes per neuron and time step; behind a flatten, one entry per input
    feature. The result is `[C_out, C_in / groups, 1, ...]`.
    """
    return per_output(weight, channel_score) * per_input(weight, pre_rate)


def criticality_gradient(weight: Tensor, channel_score: Tensor, gradient: Tensor) -> Tensor:
    """Return the score times `|g|` of the dense gradient (`post*grad`), shaped as the weight."""
    return per_output(weight, channel_score) * _size_of(weight, gradient)


def criticality_magnitude(weight: Tensor, channel_score: Tensor, magnitude: Tensor) -> Tensor:
    """Return the score times a magnitude of each weight, shaped as the weight.

    The magnitude is `|w|` of a live weight, the last live `|w|` of a dead one.
    """
    return per_output(weight, channel_score) * _size_of(weight, magnitude)


def random(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Return uniform numbers in [0, 1), shaped as the weight: the baseline."""
    return saliency.random(weight, generator)


def gradient(weight: Tensor, gradient: Tensor) -> Tensor:
    """Return `|g|` of the dense gradient, shaped as the weight (the rule of RigL).

    Source: Evci et al., Rigging the Lottery, 2020.
    """
    return _size_of(weight, gradient)


def shuffled(channel_score: Tensor, generator: torch.Generator) -> Tensor:
    """Permute the scores `[C_out]` of a layer's channels at random, on the generator's device.

    The control for a channel score: values, ties and so the share of every layer are equal, but
    the score no longer belongs to its channel.
    """
    order = torch.randperm(len(channel_score), generator=generator, device=generator.device)
    return channel_score[order.to(channel_score.device)]


def synops_normalised(score: Tensor, added_synops: Tensor, samples: int) -> Tensor:
    """Divide a score by the synaptic operations that the weight is expected to add.

    `score / max(added, 1 / samples)`, because `samples` samples cannot resolve fewer than one
    operation. A weight from a silent presynaptic channel (`added = 0`) gets 0, every other weight
    at least the smallest normal number, so that silent channels come last. The result is finite.

    Args:
        score: Non-negative, broadcastable to the weight.
        added_synops: Expected additional operations per sample over all T, non-negative,
            broadcastable to the weight (for example `[1, C_in, 1, 1]`).
        samples: Number of samples that the expectation was measured on, at least 1.

    Source: method, section 2, option `normalise = synops`.
    """
    ratio = score.detach() / added_synops.clamp_min(1 / samples)
    limits = torch.finfo(ratio.dtype)
    return ratio.clamp(limits.tiny, limits.max) * (added_synops > 0)
