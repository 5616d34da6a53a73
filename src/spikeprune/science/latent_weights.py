"""Latent weights: those that an optimiser trains in place of the ones that a net computes with.

The net's weight `w` follows from the latent one `v`, by a soft threshold (STDS) or a gate (UPR).
"""

import math

import torch
from torch import Tensor

FIRST_TEMPERATURE, LAST_TEMPERATURE = 5.0, 1000.0


def soft_threshold(latent: Tensor, threshold: Tensor | float) -> Tensor:
    """Return `w = sign(v) max(|v| - d, 0)` for the threshold `d >= 0`, which broadcasts to `v`.

    STDS passes the gradient for `w` on to `v` as it is, below the threshold, too, so that a weight
    of 0 may come back.

    Source: Chen et al., 2022 (STDS).
    """
    return latent.sign() * (latent.abs() - threshold).clamp_min(0)


def temperature(progress: float) -> float:
    """Return the temperature `t` of the gates at a progress in [0, 1]: `5 x 200^progress`.

    Source: Shi et al., 2024 (UPR; from 5 to 1000, as in its code).
    """
    return FIRST_TEMPERATURE * math.pow(LAST_TEMPERATURE / FIRST_TEMPERATURE, progress)


def opening(gate: Tensor, temperature: float) -> Tensor:
    """Return how far gates `m` are open, `sigmoid(t m)` in (0, 1); `w = sigmoid(t m) v`.

    Source: Shi et al., 2024 (UPR).
    """
    return torch.sigmoid(temperature * gate)


def gate_gradient(
    opened: Tensor, temperature: float, price: Tensor, *, drive: Tensor | None = None
) -> Tensor:
    """Return the gradient for the gates `m` of `loss + sum of price x opening`.

    Args:
        opened: `opening(m, t)`.
        temperature: `t`.
        price: what an open gate costs, broadcastable to the gates.
        drive: gradient of the loss for `w`, times `v`, shaped as the gates; None: there is none.

    Returns:
        `t s (1 - s) (g v + price)` for `s` the opening, shaped as the gates.
    """
    inner = price.expand_as(opened) if drive is None else drive + price
    return temperature * opened * (1 - opened) * inner
