"""What channels and classes look like from outside: spike entropy, spread and angle of features."""

import math

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from spikeprune.errors import DataError

__all__ = ["class_mean_cosine", "intra_cluster_variance", "min_max", "spike_entropy"]


def spike_entropy(rate: Tensor) -> Tensor:
    """Return the entropy of a spike in bits: `H_b(p) = -p log2 p - (1 - p) log2 (1 - p)`.

    Args:
        rate: firing probabilities, any shape, in [0, 1].

    Returns:
        The shape of `rate`, in [0, 1]; 0 at 0 and 1, and 1 at 1/2.

    Raises:
        DataError: a rate outside [0, 1], or not a number.

    Source: method, section 2.
    """
    if not bool(((rate >= 0) & (rate <= 1)).all()):
        raise DataError("expected firing rates in [0, 1]; give spikes per neuron and time step")
    nats: Tensor = torch.special.entr(rate) + torch.special.entr(1 - rate)
    return nats / math.log(2)


def min_max(features: Tensor) -> Tensor:
    """Scale each sample's features `[N, F]` to [0, 1]; a sample of equal features becomes 0."""
    low, high = features.aminmax(dim=1, keepdim=True)
    spread = high - low
    return (features - low) / torch.where(spread > 0, spread, 1)


def intra_cluster_variance(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return each class's mean squared distance of its samples to their mean.

    `V_k = mean_{n in k} |f_n - mean_{m in k} f_m|^2`, on features as they come: apply `min_max`
    to spike counts first, as the figure does.

    Args:
        features: `[N, F]`, for example spike counts of the last layer.
        labels: `[N]` class indices.
        classes: number of classes K.

    Returns:
        `[K]`; NaN for a class without samples.

    Raises:
        DataError: shapes or labels that do not fit.

    Source: method, section 7, figures 4 and 5.
    """
    means = _class_means(features, labels, classes)
    squares = (features - means[labels]).square().sum(1)
    return _class_means(squares[:, None], labels, classes)[:, 0]


def class_mean_cosine(
    features: Tensor, labels: Tensor, other: Tensor, other_labels: Tensor, *, classes: int
) -> Tensor:
    """Return each class's cosine between its mean feature in two sets (training against test).

    Args:
        features: `[N, F]`.
        labels: `[N]` class indices.
        other: `[M, F]`, the second set.
        other_labels: `[M]` class indices.
        classes: number of classes K.

    Returns:
        `[K]` in [-1, 1]; NaN for a class that one of the sets lacks.

    Raises:
        DataError: shapes or labels that do not fit.

    Source: method, section 7, figures 4 and 5.
    """
    first = _class_means(features, labels, classes)
    second = _class_means(other, other_labels, classes)
    if first.shape != second.shape:
        raise DataError(
            f"expected two sets with as many features, got {first.shape[1]} and {second.shape[1]}"
        )
    return cosine_similarity(first, second, dim=1)


def _class_means(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the mean feature of each class, `[K, F]`; NaN for a class without samples."""
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise DataError(
            "expected features [N, F] and one label for each sample, got shapes "
            f"{tuple(features.shape)} and {tuple(labels.shape)}"
        )
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise DataError(
            f"expected labels from 0 to {classes - 1}, got {int(labels.min())} to "
            f"{int(labels.max())}"
        )
    sums = features.new_zeros(classes, features.shape[1]).index_add_(0, labels, features)
    return sums / torch.bincount(labels, minlength=classes)[:, None]
