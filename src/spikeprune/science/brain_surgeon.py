"""Optimal brain surgeon on one layer: what to drop, and how the rest makes up for it.

A row `w` of the layer drives one neuron, and `H = E[(K x)(K x)^T]` is the second moment of what the
row reads, filtered as the membrane does it (`science.low_pass`). With other weights `v` the mean
square of the error of the membrane is `(w - v)^T H (w - v)`.

Source: Shi et al., 2025 (SBC, arXiv:2506.03996), after Hassibi and Stork, 1993.
"""

import torch
from torch import Tensor

DAMPING = 0.01
"""Share of the mean of the diagonal of H that is added to it (arXiv:2506.03996)."""


def damped(moment: Tensor) -> Tensor:
    """Return `H + DAMPING mean(diag H) I`, float64 `[groups, d, d]`; of a silent layer I."""
    wide = moment.double()
    level = DAMPING * wide.diagonal(dim1=-2, dim2=-1).mean(-1)
    level = torch.where(level > 0, level, 1.0)
    return wide + level[..., None, None] * torch.eye(wide.shape[-1]).to(wide)


def single_errors(weight: Tensor, moment: Tensor) -> Tensor:
    """Return `w^2 / [H^-1]_pp`: the error without a weight, if all others make up for it.

    Args:
        weight: `[C_out, C_in / groups, *kernel]`; group after group.
        moment: damped H, `[groups, d, d]` with the d weights of a row in the order of
            `weight.flatten(1)`.

    Returns:
        Shaped as the weight, float64.
    """
    inverse: Tensor = torch.linalg.inv(moment).diagonal(dim1=-2, dim2=-1)
    rows = weight.detach().double().reshape(len(moment), -1, moment.shape[-1])
    errors = rows.square() / inverse[:, None]
    return errors.reshape(weight.shape)


def compensated(weight: Tensor, live: Tensor, moment: Tensor) -> Tensor:
    """Return the weights with those that are not `live` 0 and the least error of the membrane.

    `v_S = [H_SS]^-1 (H w)_S` for the live ones `S` of a row: dropping the weights one by one, each
    with the update `- w_p / [H^-1]_pp H^-1[:, p]` and `H^-1` of what is left, ends there in any
    order. A row that loses none stays as it is, bit for bit. Arguments are as in `single_errors`.
    """
    size = moment.shape[-1]
    rows = weight.detach().reshape(len(moment), -1, size).clone()
    alive = live.reshape(rows.shape)
    for group, drive in enumerate(rows.double() @ moment):
        for row in range(rows.shape[1]):
            kept = alive[group, row]
            if not bool((rows[group, row][~kept] != 0).any()):
                continue
            at = kept.nonzero()[:, 0]
            factor = torch.linalg.cholesky(moment[group][at][:, at])
            found = torch.cholesky_solve(drive[row][at, None], factor)[:, 0]
            rows[group, row] = torch.zeros_like(rows[group, row]).scatter(0, at, found.to(rows))
    return rows.reshape(weight.shape)
