"""What channels and classes look like from outside: spike entropy, spread and angle of features."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from spikeprune.errors import DataError


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


class ClassSums(NamedTuple):
    """The samples of every class so far: their number, mean and spread. Constant in memory.

    Attributes:
        counts: `[K]` int64.
        means: `[K, F]` float64, mean feature of each class; 0 for a class without samples.
        squares: `[K]` float64, sum of the squared distances of a class's samples to its mean.
    """

    counts: Tensor
    means: Tensor
    squares: Tensor


def class_sums(features: Tensor, labels: Tensor, classes: int) -> ClassSums:
    """Return the sums of a batch.

    Args:
        features: `[N, F]`, for example spike counts of the last layer, as they come: apply
            `min_max` to spike counts first, as the figure does.
        labels: `[N]` class indices.
        classes: number of classes K.

    Raises:
        DataError: shapes or labels that do not fit.
    """
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
    wide = features.double()
    counts = torch.bincount(labels, minlength=classes)
    means = wide.new_zeros(classes, wide.shape[1]).index_add_(0, labels, wide)
    means /= counts.clamp_min(1)[:, None]
    distances = (wide - means[labels]).square().sum(1)
    return ClassSums(counts, means, wide.new_zeros(classes).index_add_(0, labels, distances))


def merge_classes(a: ClassSums, b: ClassSums) -> ClassSums:
    """Join the sums of two sets of samples, without the cancellation of sums of squares.

    Raises:
        DataError: other classes or features.

    Source: Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample
    variances, 1979.
    """
    if a.means.shape != b.means.shape:
        raise DataError(
            "expected two sets of the same classes and features [K, F], got "
            f"{tuple(a.means.shape)} and {tuple(b.means.shape)}"
        )
    counts = a.counts + b.counts
    share = (b.counts / counts.clamp_min(1)).double()
    gap = b.means - a.means
    between = gap.square().sum(1) * a.counts * share
    return ClassSums(counts, a.means + gap * share[:, None], a.squares + b.squares + between)


def intra_cluster_variance(sums: ClassSums) -> Tensor:
    """Return each class's mean squared distance of its samples to their mean.

    `V_k = mean_{n in k} |f_n - mean_{m in k} f_m|^2`, a sum over the F features: divide by F to
    compare nets of different width.

    Returns:
        `[K]`; NaN for a class without samples.

    Source: method, section 7, figures 4 and 5.
    """
    return torch.where(sums.counts > 0, sums.squares / sums.counts.clamp_min(1), math.nan)


def class_mean_cosine(a: ClassSums, b: ClassSums) -> Tensor:
    """Return each class's cosine between its mean feature in two sets (training against test).

    Returns:
        `[K]` in [-1, 1]; NaN for a class that one of the sets lacks, or whose mean is 0 in one of
        them and so has no direction.

    Raises:
        DataError: other classes or features.

    Source: method, section 7, figures 4 and 5.
    """
    if a.means.shape != b.means.shape:
        raise DataError(
            "expected two sets with as many classes and features [K, F], got "
            f"{tuple(a.means.shape)} and {tuple(b.means.shape)}"
        )
    lengths = a.means.norm(dim=1) * b.means.norm(dim=1)
    cosine: Tensor = (a.means * b.means).sum(1) / lengths  # 0 / 0 is NaN
    return cosine.clamp(-1, 1)
