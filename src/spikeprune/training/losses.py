"""Losses of logits over time, by name."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from spikeprune.errors import require_one_of


def mean_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return CE(mean over T of logits `[T, B, K]`) for class indices `[B]`."""
    return cross_entropy(logits.mean(0), target)


def _mean_logits(logits: Tensor, target: Tensor) -> Tensor:
    return mean_cross_entropy(logits, target) / len(logits)


def _per_step(logits: Tensor, target: Tensor) -> Tensor:
    return torch.stack([cross_entropy(step, target) for step in logits]).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean-logits": _mean_logits,
    "per-step": _per_step,
}
"""Losses of logits `[T, B, K]` and class indices `[B]` (method, sections 3 and 4).

`mean-logits` is CE(mean over T of logits) / T; `per-step` is the mean over T of each step's CE.
"""


def loss_by_name(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a loss of `LOSSES`, or raise a `ConfigError`."""
    require_one_of("loss", name, LOSSES)
    return LOSSES[name]


def scale_of(name: str, steps: int) -> float:
    """Return the factor of a loss of `LOSSES` before its cross-entropy: 1 / T for `mean-logits`."""
    return 1 / steps if name == "mean-logits" else 1.0
