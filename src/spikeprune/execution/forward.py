"""One way to run a model, whatever its layout: inputs in, logits [T, B, K] out; losses by name."""

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


def is_static(x: Tensor) -> bool:
    """Return whether a batch is static: `[B, F]`, `[B, C, H, W]`.

    An odd number of axes begins with time: `[T, B, F]`, `[T, B, C, H, W]`.
    """
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

    Layouts, by what the model takes:

    - `sequence`: `[T, B, ...]`, giving `[T, B, K]`. A static batch goes in as it is when the model
      has an attribute `accepts_static` that is true, else expanded to T (see `adapters.hoist`).
    - `step`: one slice `[B, ...]`, giving `[B, K]`; called T times.
    - `batch`: `[B, ...]`, with a time loop of its own; events go in as `[B, T, ...]`. It gives
      `[T, B, K]`, or `[B, K]`, which is returned as `[1, B, K]`.

    Args:
        model: the net.
        x: static `[B, F]` or `[B, C, H, W]`; events `[T, B, F]` or `[T, B, C, H, W]`. Another
            floating type than that of the model's parameters is cast.
        time_steps: T.
        layout: one of `LAYOUTS`.
        adapter: the model's adapter, found when it is not given.

    Returns:
        Logits `[T, B, K]`, at least float32: a softmax of bfloat16 logits would be unsound.

    Raises:
        ConfigError: an unknown layout.
        DataError: events of another number of time steps.
        ModelError: an output of another shape.
    """
    if layout not in LAYOUTS:
        raise unknown_name("layout", layout, LAYOUTS)
    if not is_static(x) and x.shape[0] != time_steps:
        raise DataError(
            f"expected events of {time_steps} time steps, [T, B, ...], got a batch of shape "
            f"{tuple(x.shape)}; set time_steps to {x.shape[0]} or bin the events again"
        )
    (adapter or adapter_for(model)).reset(model)
    run = {"sequence": _sequence, "step": _step, "batch": _batch}[layout]
    logits = run(model, like_parameters(model, x), time_steps)
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _sequence(model: nn.Module, x: Tensor, time_steps: int) -> Tensor:
    batch = x.shape[0] if is_static(x) else x.shape[1]
    if is_static(x) and not _accepts_static(model):
        x = x.expand(time_steps, *x.shape)
    return _checked(model(x), (time_steps, batch), "sequence", "[T, B, K]")


def _accepts_static(model: nn.Module) -> bool:
    inner = getattr(model, "module", model)  # DistributedDataParallel hides attributes
    return bool(getattr(inner, "accepts_static", False))


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
    if (
        isinstance(logits, Tensor)
        and logits.ndim == len(leading) + 1
        and logits.shape[:-1] == leading
    ):
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
    """Put the model into eval mode while active; every module gets its own mode back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


Forward = Callable[[Tensor], Any]
"""Runs the model on one batch over all T, from a fresh state."""


def of_size(x: Tensor, size: int) -> Tensor:
    """Return a batch of `size` samples, those of `x` (static or events) repeated as needed."""
    axis = 0 if is_static(x) else 1
    index = torch.arange(size, device=x.device) % x.shape[axis]
    return x.index_select(axis, index)
