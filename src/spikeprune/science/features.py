"""Spike entropy of channels; spread and angle of the features of classes."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from spikeprune.errors import DataError


def spike_entropy(spikes: Tensor, chances: int) -> Tensor:
    """Return the entropy of a spike in bits: `H_b(p) = -p log2 p - (1 - p) log2 (1 - p)`.

    Of `spikes` out of `chances`, `p = spikes / chances`: in [0, 1], 0 where none or all are spikes,
    and 1 at one half. Counts as many away from one half on either side have the same entropy, bit
    for bit, so that ranks see the tie.

    Args:
        spikes: Counts of any shape and floating type.
        chances: Neurons x time steps x samples that a count is of, at least 1.

    Raises:
        DataError: A count outside [0, chances], or NaN.

    Source: method, section 2.
    """
    if not bool(((spikes >= 0) & (spikes <= chances)).all()):
        raise DataError(f"expected from 0 to {chances} spikes out of {chances} chances")
    silent = chances - spikes
    nats: Tensor = torch.special.entr(spikes / chances) + torch.special.entr(silent / chances)
    return nats / math.log(2)


def min_max(features: Tensor) -> Tensor:
    """Scale each sample's features `[N, F]` to [0, 1]; a sample of equal features becomes 0."""
    low, high = features.aminmax(dim=1, keepdim=True)
    spread = high - low
    return (features - low) / torch.where(spread > 0, spread, 1)


class ClassSums(NamedTuple):
    """Number, mean and spread of the samples of each of K classes so far."""

    counts: Tensor  # [K] int64
    means: Tensor  # [K, F] float64, mean features; 0 for a class without samples
    squares: Tensor  # [K] float64, sum of the squared distances of the samples to their mean


def class_sums(features: Tensor, labels: Tensor, classes: int) -> ClassSums:
    """Return the sums of a batch of features `[N, F]` with class indices `[N]`.

    Features are used as they are: apply `min_max` to spike counts first, as the paper does.

    Raises:
        DataError: Shapes or labels do not fit.
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
    """Return the sums of two sets of samples together, without cancellation of squares.

    Raises:
        DataError: the sets differ in classes or features.

    Source: Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample
    variances, 1979.
    """
    _check_same_shape(a, b)
    counts = a.counts + b.counts
    share = (b.counts / counts.clamp_min(1)).double()
    gap = b.means - a.means
    between = gap.square().sum(1) * a.counts * share
    return ClassSums(counts, a.means + gap * share[:, None], a.squares + b.squares + between)


def _check_same_shape(a: ClassSums, b: ClassSums) -> None:
    if a.means.shape != b.means.shape:
        raise DataError(
            "expected two sets of the same classes and features [K, F], got "
            f"{tuple(a.means.shape)} and {tuple(b.means.shape)}"
        )


def intra_cluster_variance(sums: ClassSums) -> Tensor:
    """Return the mean squared distance `[K]` of each class's samples to their mean.

    `V_k = mean_{n in k} |f_n - mean_{m in k} f_m|^2`, a sum over the F features: divide by F to
    compare nets of different width. NaN for a class without samples.

    Source: method, section 7, figures 4 and 5.
    """
    return torch.where(sums.counts > 0, sums.squares / sums.counts.clamp_min(1), math.nan)


def class_mean_cosine(a: ClassSums, b: ClassSums) -> Tensor:
    """Return, per class, the cosine between the mean features of two sets (training and test).

    `[K]` in [-1, 1]; NaN for a class that one set lacks, or whose mean is 0 in one set and so has
    no direction.

    Raises:
        DataError: The sets differ in classes or features.

    Source: method, section 7, figures 4 and 5.
    """
    _check_same_shape(a, b)
    lengths = a.means.norm(dim=1) * b.means.norm(dim=1)
    cosine: Tensor = (a.means * b.means).sum(1) / lengths  # 0 / 0 is NaN
    return cosine.clamp(-1, 1)
