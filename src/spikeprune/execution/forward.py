"""Running a model on a batch, in any layout, to logits `[T, B, K]`; its eval mode."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune.adapters.base import Adapter
from spikeprune.adapters.registry import adapter_for
from spikeprune.errors import DataError, ModelError, unknown_name
from spikeprune.execution.precision import like_parameters

LAYOUTS = ("sequence", "step", "batch")

Forward = Callable[[Tensor], Any]
"""Runs the model on one batch over all T time steps, from a fresh state."""


def is_static(x: Tensor) -> bool:
    """Return whether a batch is static (`[B, F]` or `[B, C, H, W]`), without a time axis."""
    return x.ndim % 2 == 0


def forward(
    model: nn.Module,
    x: Tensor,
    *,
    time_steps: int,
    layout: str = "sequence",
    adapter: Adapter | None = None,
) -> Tensor:
    """Reset the model's state, run one batch through all time steps and return the logits.

    The layout says what the model takes:

    - `sequence`: `[T, B, ...]`, giving `[T, B, K]`. A static batch is expanded to T steps (see
      `adapters.speedups.hoist`), unless the model has a true attribute `accepts_static`.
    - `step`: one slice `[B, ...]`, giving `[B, K]`; the model is called T times.
    - `batch`: `[B, ...]`, or `[B, T, ...]` for recordings; the model loops over time itself. It
      gives `[T, B, K]`, or `[B, K]`, which is returned as `[1, B, K]`.

    Args:
        model: the net.
        x: static `[B, F]` or `[B, C, H, W]`, or recordings `[T, B, F]` or `[T, B, C, H, W]`; cast
            to the floating type of the model's parameters.
        time_steps: T.
        layout: one of `LAYOUTS`.
        adapter: the model's adapter; found if not given.

    Returns:
        Logits `[T, B, K]`, at least float32, because a softmax of bfloat16 logits is inexact.

    Raises:
        ConfigError: the layout is unknown.
        DataError: the recordings have another number of time steps.
        ModelError: the output has another shape.
    """
    if layout not in LAYOUTS:
        raise unknown_name("layout", layout, LAYOUTS)
    if not is_static(x) and x.shape[0] != time_steps:
        raise DataError(
            f"expected recordings of {time_steps} time steps, [T, B, ...], got a batch of shape "
            f"{tuple(x.shape)}; set time_steps to {x.shape[0]} or bin the events again"
        )
    (adapter or adapter_for(model)).reset(model)
    run = {"sequence": _sequence, "step": _step, "batch": _batch}[layout]
    logits = run(model, like_parameters(model, x), time_steps)
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _sequence(model: nn.Module, x: Tensor, time_steps: int) -> Tensor:
    batch = x.shape[0] if is_static(x) else x.shape[1]
    inner = getattr(model, "module", model)  # DistributedDataParallel hides attributes
    if is_static(x) and not getattr(inner, "accepts_static", False):
        x = x.expand(time_steps, *x.shape)
    return _checked(model(x), (time_steps, batch), "sequence", "[T, B, K]")


def _step(model: nn.Module, x: Tensor, time_steps: int) -> Tensor:
    slices = [x] * time_steps if is_static(x) else list(x)
    return torch.stack([_checked(model(s), (len(s),), "step", "[B, K]") for s in slices])


def _batch(model: nn.Module, x: Tensor, time_steps: int) -> Tensor:
    if not is_static(x):
        x = x.transpose(0, 1)
    logits = model(x)
    if isinstance(logits, Tensor) and logits.ndim == 2:
        return _checked(logits, (len(x),), "batch", "[B, K] or [T, B, K]").unsqueeze(0)
    return _checked(logits, (time_steps, len(x)), "batch", "[B, K] or [T, B, K]")


_OTHER_LAYOUT = {
    "sequence": "'step' if it takes one slice at a time, 'batch' if it loops over time itself",
    "step": "'sequence' if it takes all time steps at once, 'batch' if it loops over time itself",
    "batch": "'sequence' if it takes all time steps at once, 'step' if it takes one at a time",
}


def _checked(logits: Any, leading: tuple[int, ...], layout: str, form: str) -> Tensor:
    """Return logits of shape `(*leading, K)`; refuse others."""
    if isinstance(logits, Tensor) and logits.shape[:-1] == leading:
        return logits
    came = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    numbers = ", ".join(map(str, (*leading, "K")))
    raise ModelError(
        f"expected logits {form} = [{numbers}] from the model in layout {layout!r}, got {came}; "
        f"try layout {_OTHER_LAYOUT[layout]}, or check the model's own number of time steps"
    )


def predict(logits: Tensor) -> Tensor:
    """Return the class `[B]` whose mean over T of the logits `[T, B, K]` is largest."""
    return logits.mean(0).argmax(-1)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model into eval mode while active; afterwards every module has its own mode again."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def of_size(x: Tensor, size: int) -> Tensor:
    """Return a batch of `size` samples, the samples of `x` repeated as often as needed."""
    axis = 0 if is_static(x) else 1
    index = torch.arange(size, device=x.device) % x.shape[axis]
    return x.index_select(axis, index)
