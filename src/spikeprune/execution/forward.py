"""Running a model on a batch, in any layout, to logits `[T, B, K]`; its eval mode."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from spikeprune.adapters.rest import reset
from spikeprune.errors import DataError, ModelError, unknown_name
from spikeprune.execution.precision import like_parameters

LAYOUTS = ("sequence", "step", "batch")

Layout = str | Callable[[nn.Module, Any], Any]
"""How a model is called: a name of `LAYOUTS`, or a function of model and batch to the logits."""

Forward = Callable[[Tensor], Any]
"""Runs the model on one batch over all T time steps, from a fresh state."""


def is_static(x: Tensor, model: nn.Module | None = None) -> bool:
    """Return whether a batch is static, without a time axis.

    A model whose first layer is a convolution says how many axes a sample has. Otherwise `[B, F]`
    and `[B, C, H, W]` are static, `[T, B, F]` and `[T, B, C, H, W]` are not.
    """
    layers = () if model is None else model.modules()
    first = next((m for m in layers if isinstance(m, _ConvNd | nn.Linear)), None)
    if isinstance(first, _ConvNd) and x.ndim - first.weight.ndim in (0, 1):
        return x.ndim == first.weight.ndim
    return x.ndim % 2 == 0


def batch_axis(x: Tensor, model: nn.Module | None = None) -> int:
    """Return the axis of the samples of a batch: 0, or 1 behind time."""
    return 0 if is_static(x, model) else 1


def call(model: nn.Module, x: Any, *, time_steps: int, layout: Layout = "sequence") -> Any:
    """Run one batch through all time steps as the layout says, from the current state.

    A function as layout gets `model` and `x` as they are; else the arguments are those of
    `forward`, and so are the errors.
    """
    if callable(layout):
        return layout(model, x)
    if layout not in LAYOUTS:
        raise unknown_name("layout", layout, LAYOUTS)
    x = like_parameters(model, _checked_input(x))
    static = is_static(x, model)
    by_sample = layout == "batch" and not static and x.shape[1] == time_steps != x.shape[0]
    if not static and not by_sample and x.shape[0] != time_steps:
        raise DataError(
            f"expected recordings of {time_steps} time steps, [T, B, ...], got a batch of shape "
            f"{tuple(x.shape)}; set time_steps to {x.shape[0]} or bin the events again"
        )
    if layout == "batch":
        return model(x if static or by_sample else x.transpose(0, 1))
    inner = getattr(model, "module", model)  # DistributedDataParallel hides attributes
    if layout == "step":
        slices = [x] * time_steps if static else list(x)
        outputs = [model(s) for s in slices]
        return torch.stack(outputs) if isinstance(outputs[0], Tensor) else outputs
    if static and not getattr(inner, "accepts_static", False):
        x = x.expand(time_steps, *x.shape)
    return model(x)


def _checked_input(x: Any) -> Tensor:
    if not isinstance(x, Tensor):
        raise DataError(
            f"expected a tensor as input, got {type(x).__name__}; say how the model is called on "
            "it by a function of model and batch as layout"
        )
    if x.dtype == torch.uint8:
        raise DataError(
            "expected inputs in floating point, got uint8; scale them as in training, for example "
            "x.float() / 255"
        )
    return x


def forward(model: nn.Module, x: Any, *, time_steps: int, layout: Layout = "sequence") -> Tensor:
    """Reset the model's state, run one batch through all time steps and return the logits.

    The layout says what the model takes:

    - `sequence`: `[T, B, ...]`. A static batch is expanded to T steps (see
      `adapters.speedups.hoist`), unless the model has a true attribute `accepts_static`.
    - `step`: one slice `[B, ...]`, giving `[B, K]`; the model is called T times.
    - `batch`: `[B, ...]`, or `[B, T, ...]` for recordings; the model loops over time itself.
    - a function: it gets model and batch, and returns the logits.

    The logits are `[T, B, K]`, `[B, T, K]` or `[B, K]`. Where T equals B and the layout does not
    say which comes first, a copy runs once on another number of samples, which shows it.

    Args:
        model: the net.
        x: static `[B, F]` or `[B, C, *space]`, or recordings `[T, B, F]` or `[T, B, C, *space]`
            (for `batch` also `[B, T, ...]`, where the shape tells them apart); cast to the
            floating type of the model's parameters. For a function, anything.
        time_steps: T.
        layout: as above.

    Returns:
        Logits `[T, B, K]`, or `[1, B, K]` of a model that has averaged over time, at least
        float32, because a softmax of bfloat16 logits is inexact.

    Raises:
        ConfigError: the layout is unknown.
        DataError: no floating tensor, or recordings of another number of time steps.
        ModelError: the output has another shape.
    """
    reset(model)
    batch = _batch_size(model, x, time_steps, layout)
    time_first = True
    if batch == time_steps > 1 and layout not in ("sequence", "step"):
        time_first = _time_is_first(model, x, time_steps, layout)
    output = call(model, x, time_steps=time_steps, layout=layout)
    logits = _ordered(output, (time_steps, batch), time_first=time_first, layout=layout)
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _ordered(output: Any, sizes: tuple[int, int], *, time_first: bool, layout: Layout) -> Tensor:
    """Return an output as logits `[T, B, K]`; `sizes` are (T, B)."""
    time_steps, batch = sizes
    shape = tuple(output.shape) if isinstance(output, Tensor) else ()
    logits: Tensor = output
    if len(shape) == 2 and shape[0] == batch and layout != "step":
        return logits.unsqueeze(0)
    if len(shape) == 3 and shape[:2] == sizes and time_first:
        return logits
    if len(shape) == 3 and shape[:2] == (batch, time_steps) and layout != "step":
        return logits.transpose(0, 1)
    got = shape if isinstance(output, Tensor) else type(output).__name__
    raise ModelError(
        f"expected logits [T, B, K] = [{time_steps}, {batch}, K], [B, T, K] or [B, K] from the "
        f"model in layout {_named(layout)}, got {got}; {_other(layout)}give layout a function of "
        "model and batch that returns the logits, or check the model's own number of time steps"
    )


_OTHER = {
    "sequence": "'step' if it takes one slice at a time, 'batch' if it loops over time itself",
    "step": "'sequence' if it takes all time steps at once, 'batch' if it loops over time itself",
    "batch": "'sequence' if it takes all time steps at once, 'step' if it takes one at a time",
}


def _other(layout: Layout) -> str:
    return f"try layout {_OTHER[layout]}, " if isinstance(layout, str) else ""


def _named(layout: Layout) -> str:
    return repr(layout) if isinstance(layout, str) else "given by a function"


def _batch_size(model: nn.Module, x: Any, time_steps: int, layout: Layout) -> int:
    return int(first_tensor(x).shape[_samples(model, x, time_steps, layout)])


def _samples(model: nn.Module, x: Any, time_steps: int, layout: Layout) -> int:
    """Return the axis of the samples of a batch in a layout."""
    if isinstance(layout, str) and not isinstance(x, Tensor):
        return 0  # `call` refuses it
    by_sample = layout == "batch" and x.shape[1:2] == (time_steps,) != x.shape[:1]
    return 0 if by_sample or not isinstance(layout, str) else batch_axis(x, model)


def first_tensor(x: Any) -> Tensor:
    """Return the first tensor of a batch: itself, or in a dict, a tuple or a list.

    Raises:
        DataError: there is none.
    """
    found = next(tensors_of(x), None)
    if found is None:
        raise DataError(f"expected a batch with a tensor, got {type(x).__name__}")
    return found


def tensors_of(output: Any) -> Iterator[Tensor]:
    """Yield every tensor of a model's output: itself, or those in dicts, tuples and lists."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict | tuple | list):
        for item in output.values() if isinstance(output, dict) else output:
            yield from tensors_of(item)


def map_tensors(batch: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a batch with every tensor changed, in dicts, tuples and lists, too."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, dict):
        return {key: map_tensors(value, change) for key, value in batch.items()}
    if isinstance(batch, tuple | list) and not hasattr(batch, "_make"):
        return type(batch)(map_tensors(value, change) for value in batch)
    return batch


@torch.no_grad()
def _time_is_first(model: nn.Module, x: Any, time_steps: int, layout: Layout) -> bool:
    """Return whether the first axis of the logits stays when a batch gets one sample more.

    It is found once for a model at rest, on a copy without hooks, so that nobody counts this run.
    """
    if model not in _time_known:
        if not isinstance(x, Tensor):
            raise DataError(
                f"the batch has as many samples as time steps ({time_steps}), so the axis of time "
                "in the logits [., ., K] cannot be told; give a batch of another size"
            )
        probe = copy.deepcopy(model).eval()
        for module in probe.modules():
            module._forward_hooks.clear()
            module._forward_pre_hooks.clear()
        rows = torch.arange(time_steps + 1, device=x.device) % time_steps
        more = x.index_select(_samples(model, x, time_steps, layout), rows)
        output = call(probe, more, time_steps=time_steps, layout=layout)
        _time_known[model] = isinstance(output, Tensor) and len(output) == time_steps
    return _time_known[model]


_time_known: "WeakKeyDictionary[nn.Module, bool]" = WeakKeyDictionary()


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


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's parameters, the CPU if it has none."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


@contextmanager
def same_draws(model: nn.Module) -> Iterator[None]:
    """Give a random model the same random numbers every time; the generators are as before after.

    The numbers are those of the CPU and of the device of the parameters.
    """
    device = device_of(model)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        yield


def of_size(x: Tensor, size: int, model: nn.Module | None = None) -> Tensor:
    """Return a batch of `size` samples, the samples of `x` repeated as often as needed."""
    axis = batch_axis(x, model)
    index = torch.arange(size, device=x.device) % x.shape[axis]
    return x.index_select(axis, index)
