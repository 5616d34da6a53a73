"""The training loop: forward, backward, optimiser, pruner; the rest is callbacks."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from spikeprune.errors import DataError, RunError, unknown_name
from spikeprune.execution.forward import evaluating, predict
from spikeprune.execution.sound_weights import unsound

LR_SCHEDULES = ("cosine", "step", "onecycle", "constant")


class Steps(Protocol):
    """A `Pruner`, or another object whose step follows that of the optimiser."""

    def step(self) -> Any:
        """Count one optimiser step."""


def lr_factor(schedule: str, progress: float) -> float:
    """Return the factor of the learning rate at `progress` in [0, 1] of the training.

    `cosine` (1 + cos(pi p)) / 2; `step` x0.1 at 50 % and again at 75 % (method, section 4);
    `onecycle` a linear warm-up over the first 30 % from 1/25, then cosine to 0 (Smith and Topin,
    2019); `constant` 1.

    Raises:
        ConfigError: an unknown schedule.
    """
    match schedule:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "step":
            return 0.1 ** ((progress >= 0.5) + (progress >= 0.75))
        case "onecycle":
            if progress < 0.3:
                return 0.04 + 0.96 * progress / 0.3
            return 0.5 * (1 + math.cos(math.pi * (progress - 0.3) / 0.7))
        case "constant":
            return 1.0
        case _:
            raise unknown_name("learning-rate schedule", schedule, LR_SCHEDULES)


def make_optimizer(
    model: nn.Module, name: str, *, lr: float, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Return `sgd` (with momentum) or `adamw` over the trainable parameters."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
    raise unknown_name("optimizer", name, ("adamw", "sgd"))


def train_epoch(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    *,
    pruner: Steps | None,
    forward: Callable[[Tensor], Tensor],
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    before_step: Callable[[], None] = lambda: None,
    after_step: Callable[[float], None] = lambda loss: None,
    clip_norm: float | None = None,
) -> float:
    """Train for one pass over pairs of input and class index `[B]`, and return the mean loss.

    `forward` resets the net and returns logits `[T, B, K]`; `loss` takes them, the classes and the
    input. The pruner's step follows the optimiser's. `before_step` runs before each batch,
    `after_step` with its loss after it. `clip_norm` is the largest norm of all gradients together.

    Raises:
        RunError: The loss is not finite.
        DataError: There is no batch.
    """
    model.train()
    total, count = 0.0, 0
    for x, y in batches:
        before_step()
        optimizer.zero_grad(set_to_none=True)
        value = loss(forward(x), y, x)
        value.backward()  # type: ignore[no-untyped-call]
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        number = value.item()
        if not math.isfinite(number):
            raise RunError(
                f"the loss is {number} at batch {count + 1} of this epoch; the state of the last "
                "finished epoch is saved. Lower the learning rate or set optimizer.clip_norm"
            )
        optimizer.step()
        if pruner is not None:
            pruner.step()
        total, count = total + number, count + 1
        after_step(number)
    if count == 0:
        raise DataError("expected at least one training batch, got none; lower the batch size")
    return total / count


def check_finite(model: nn.Module, epoch: int) -> None:
    """Refuse a net whose last step broke it: spikes hide NaN, so the loss may not show it."""
    fault = unsound(model)
    if fault is not None:
        raise RunError(
            f"{fault.what} after epoch {epoch}; lower the learning rate or set optimizer.clip_norm"
        )


@torch.no_grad()
def count_hits(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    forward: Callable[[Tensor], Tensor],
) -> tuple[int, int]:
    """Return the number of correctly classified samples (see `accuracy`), and of all samples."""
    hits, count = 0, 0
    with evaluating(model):
        for x, y in batches:
            hits += int((predict(forward(x)) == y).sum())
            count += len(y)
    if count == 0:
        raise DataError("expected at least one sample to measure accuracy on, got none")
    return hits, count


def accuracy(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    forward: Callable[[Tensor], Tensor],
) -> float:
    """Return the share of samples whose class has the largest mean logit over T, in eval mode."""
    hits, count = count_hits(model, batches, forward=forward)
    return hits / count
