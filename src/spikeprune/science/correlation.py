"""Rank correlation, and partial rank correlation with a third quantity held fixed."""

import math

import torch
from torch import Tensor

from spikeprune.errors import DataError

_EQUAL = 1e-12  # 1 - r^2 below it: two rankings are equal up to rounding


def average_ranks(values: Tensor) -> Tensor:
    """Return the rank of each value `[n]`, 1 for the smallest; equal values get their mean rank.

    Raises:
        DataError: Not one dimension, or a value is NaN.
    """
    if values.ndim != 1 or bool(values.isnan().any()):
        raise DataError(
            f"expected values [n] to rank, all numbers, got shape {tuple(values.shape)} with "
            f"{int(values.isnan().sum())} NaN"
        )
    unique: tuple[Tensor, Tensor, Tensor] = torch.unique(
        values, return_inverse=True, return_counts=True
    )
    _, where, counts = unique
    dtype = torch.promote_types(values.dtype, torch.float32)
    ranks = counts.cumsum(0).to(dtype) - (counts - 1) / 2
    return ranks[where]


def spearman(x: Tensor, y: Tensor) -> float:
    """Return Spearman's rank correlation of two `[n]`: the Pearson correlation of average ranks.

    In [-1, 1]; NaN where it is undefined or means nothing: fewer than three values, or all values
    of one side equal.

    Raises:
        DataError: `x` and `y` differ in length, or hold NaN.
    """
    if x.shape != y.shape:
        raise DataError(
            f"expected two tensors of equal length, got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    a, b = (ranks - ranks.mean() for ranks in map(average_ranks, (x.double(), y.double())))
    scale = math.sqrt(float(a @ a) * float(b @ b))
    if len(x) < 3 or scale == 0:
        return math.nan
    return max(-1.0, min(1.0, float(a @ b) / scale))


def partial_spearman(x: Tensor, y: Tensor, given: Tensor) -> float:
    """Return the rank correlation of x and y, `[n]`, with the ranks of z (`given`) held fixed.

    `(r_xy - r_xz r_yz) / sqrt((1 - r_xz^2)(1 - r_yz^2))`, in [-1, 1]: the correlation of the
    residuals of linear fits of the ranks of x and y on the ranks of z. NaN with fewer than four
    values, where a correlation is undefined, and where z orders the values as x or y does, or in
    exactly the opposite order: then no residual is left to correlate.

    Raises:
        DataError: The tensors differ in length, or hold NaN.
    """
    xy, xz, yz = spearman(x, y), spearman(x, given), spearman(y, given)
    left = (1 - xz * xz) * (1 - yz * yz)
    if len(x) < 4 or math.isnan(left) or min(1 - xz * xz, 1 - yz * yz) < _EQUAL:
        return math.nan
    return max(-1.0, min(1.0, (xy - xz * yz) / math.sqrt(left)))
