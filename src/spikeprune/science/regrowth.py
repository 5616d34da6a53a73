"""What to bring back: one function for each score of a weight.

Each returns a detached, non-negative tensor that broadcasts to the weight
`[C_out, C_in / groups, *kernel]`; what is constant over an axis has length 1 there, so that a
selection need not look at every weight.
"""

import torch
from torch import Tensor

from spikeprune.errors import ModelError
from spikeprune.science import saliency
from spikeprune.science.broadcast import per_input, per_output


def _same_shape(weight: Tensor, gradient: Tensor) -> Tensor:
    if gradient.shape != weight.shape:
        raise ModelError(
            f"expected a gradient of shape {tuple(weight.shape)}, got {tuple(gradient.shape)}"
        )
    return gradient.detach().abs()


def criticality(weight: Tensor, channel_score: Tensor) -> Tensor:
    """Give every weight the score of the channel that it feeds (the paper's rule, `post`).

    Args:
        weight: `[C_out, C_in / groups, *kernel]`.
        channel_score: `[C_out]`, dimensionless, non-negative.

    Returns:
        `[C_out, 1, ...]`.

    Raises:
        ModelError: The score does not have one entry per output channel.

    Source: method, section 2, option `weight = post`.
    """
    return per_output(weight, channel_score)


def criticality_rate(weight: Tensor, channel_score: Tensor, pre_rate: Tensor) -> Tensor:
    """Score times the firing rate of the presynaptic channel (`post*pre`).

    Args:
        weight: `[C_out, C_in / groups, *kernel]`.
        channel_score: `[C_out]`.
        pre_rate: `[C_in]`, spikes per neuron and time step; behind a flatten, one entry for
            every input feature.

    Returns:
        `[C_out, C_in / groups, 1, ...]`.

    Raises:
        ModelError: Scores or rates do not fit the weight.
    """
    return per_output(weight, channel_score) * per_input(weight, pre_rate)


def criticality_gradient(weight: Tensor, channel_score: Tensor, gradient: Tensor) -> Tensor:
    """Score times the size of the weight's dense gradient (`post*grad`), shaped as the weight.

    Raises:
        ModelError: Scores or gradient do not fit the weight.
    """
    return per_output(weight, channel_score) * _same_shape(weight, gradient)


def criticality_magnitude(weight: Tensor, channel_score: Tensor, magnitude: Tensor) -> Tensor:
    """Score times a magnitude of each weight, shaped as the weight.

    Args:
        weight: `[C_out, C_in / groups, *kernel]`.
        channel_score: `[C_out]`.
        magnitude: Shaped as the weight, non-negative: `|w|` of a live weight; a dead one is 0, so
            of it the `|w|` with which it was last live.

    Raises:
        ModelError: Scores or magnitudes do not fit the weight.
    """
    return per_output(weight, channel_score) * _same_shape(weight, magnitude)


def random(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Return uniform numbers in [0, 1), shaped as the weight: the rival to beat."""
    return saliency.random(weight, generator)


def gradient(weight: Tensor, gradient: Tensor) -> Tensor:
    """Return `|g|` of the dense gradient, shaped as the weight (the rule of RigL).

    Raises:
        ModelError: The gradient does not fit the weight.

    Source: Evci et al., Rigging the Lottery, 2020.
    """
    return _same_shape(weight, gradient)


def shuffled(channel_score: Tensor, generator: torch.Generator) -> Tensor:
    """Deal the scores of a layer's channels to its channels at random.

    The control for a channel score: the same values, the same ties and so the same share of every
    layer, but no knowledge of which channel is which.

    Args:
        channel_score: `[C_out]`, of one layer.
        generator: The order is drawn on its device.

    Returns:
        `[C_out]`, a permutation of the scores.
    """
    order = torch.randperm(len(channel_score), generator=generator, device=generator.device)
    return channel_score[order.to(channel_score.device)]


def synops_normalised(score: Tensor, added_synops: Tensor, samples: int) -> Tensor:
    """Divide a score by the synaptic operations that the weight is expected to add.

    `score / max(added, 1 / samples)`: fewer operations than one in all the samples seen cannot
    be told from none. A weight from a silent presynaptic channel (`added = 0`) gets 0 and every
    other at least the smallest normal number, so that silent ones come last.

    Args:
        score: Non-negative, broadcastable to the weight.
        added_synops: Expected additional operations per sample over all T, non-negative,
            broadcastable to the weight (for example `[1, C_in, 1, 1]`).
        samples: Samples behind that expectation, at least 1.

    Returns:
        The broadcast of the two, finite and non-negative.

    Source: method, section 2, option `normalise = synops`.
    """
    ratio = score.detach() / added_synops.clamp_min(1 / samples)
    limits = torch.finfo(ratio.dtype)
    return ratio.clamp(limits.tiny, limits.max) * (added_synops > 0)
