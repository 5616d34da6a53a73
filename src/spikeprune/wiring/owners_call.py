"""A net on a batch as its owner calls it: which calls are possible, and inputs for a trace."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune.errors import ConfigError, unknown_name
from spikeprune.execution.forward import LAYOUTS, Layout, first_tensor, map_tensors
from spikeprune.execution.precision import like_parameters

_STEPS, _MOST = 2, 8  # calls of a net that takes one step at a time: where T is unknown, at most


@dataclass(frozen=True)
class OwnersCall:
    """One way to call a net.

    Attributes:
        layout: how the net is called.
        run: runs the net on an input.
        x: an input of noise; of a function as layout, the owner's own batch.
        other: the same with another first sample; None where it cannot be made.
        batch: number of samples.
        steps: time steps that every neuron is to run; None: unknown.
    """

    layout: Layout
    run: Callable[[Any], Any]
    x: Any
    other: Any
    batch: int
    steps: int | None


def possible_calls(
    model: nn.Module, example: Any, *, time_steps: int | None, layout: Layout | None
) -> Iterator[OwnersCall]:
    """Yield the ways to call a net on an example, the likeliest first.

    Raises:
        ConfigError: an unknown layout, or an example that is no tensor where it must be one.
    """
    if layout is not None and not isinstance(layout, str):
        yield _by_function(model, example, layout, time_steps)
        return
    if layout is not None and layout not in LAYOUTS:
        raise unknown_name("layout", layout, LAYOUTS)
    if not isinstance(example, Tensor):
        raise ConfigError(
            f"expected a tensor as example, got {type(example).__name__}; give layout a function "
            "of model and batch that returns the logits"
        )
    names: tuple[str, ...]
    if layout is None:
        whole = any(getattr(m, "step_mode", None) == "m" for m in model.modules())
        names = ("sequence", "batch", "step") if whole else ("batch", "step", "sequence")
    else:
        names = (layout,)
    own = getattr(model, "time_steps", None)
    if time_steps is None and isinstance(own, int):
        time_steps = own
    for name in names:
        yield from _CALLS[name](model, example, time_steps)


def _samples(time_steps: int | None) -> int:
    """Return a number of samples that is not the number of time steps."""
    return 2 if time_steps == 3 else 3


def _noise(model: nn.Module, example: Tensor, time_steps: int | None) -> tuple[Tensor, Tensor]:
    """Return two batches of noise like the first sample of an example, `[B, ...]`."""
    one = like_parameters(model, example.detach()[:1])
    both = one.expand(_samples(time_steps), *one.shape[1:]).clone()
    if not both.is_floating_point():
        return both, both
    noise = torch.Generator().manual_seed(1)
    x = both + torch.randn(both.shape, generator=noise).to(both)
    other = x.clone()
    other[0] = torch.randn(both.shape[1:], generator=noise).to(both) - both[0]
    return x, other


def _leaf(x: Tensor) -> Tensor:
    return x.requires_grad_() if x.is_floating_point() else x


def _sequence(model: nn.Module, example: Tensor, time_steps: int | None) -> Iterator[OwnersCall]:
    steps = time_steps or _STEPS
    x, other = (part.expand(steps, *part.shape) for part in _noise(model, example, time_steps))
    yield _call("sequence", model, x, other, time_steps)


def _batch(model: nn.Module, example: Tensor, time_steps: int | None) -> Iterator[OwnersCall]:
    x, other = _noise(model, example, time_steps)
    yield _call("batch", model, x, other, time_steps)
    if time_steps is not None:  # a net of recordings, and one slice as example
        x, other = (part.unsqueeze(1).repeat_interleave(time_steps, 1) for part in (x, other))
        yield _call("batch", model, x, other, time_steps)


def _step(model: nn.Module, example: Tensor, time_steps: int | None) -> Iterator[OwnersCall]:
    steps = min(time_steps or _STEPS, _MOST)  # what flows from one step to the next
    x, other = _noise(model, example, time_steps)

    def run(x: Tensor) -> list[Any]:
        return [model(x.clone()) for _ in range(steps)]

    yield OwnersCall("step", run, _leaf(x), other, len(x), steps)


_CALLS = {"sequence": _sequence, "batch": _batch, "step": _step}


def _call(layout: str, model: nn.Module, x: Tensor, other: Tensor, steps: int | None) -> OwnersCall:
    def run(x: Tensor) -> Any:
        return model(x.clone())  # not the leaf, because a model may change its input in place

    batch = _samples(steps)
    return OwnersCall(layout, run, _leaf(x.clone()), other.clone(), batch, steps)


def _by_function(
    model: nn.Module, example: Any, layout: Callable[..., Any], steps: int | None
) -> OwnersCall:
    batch = len(first_tensor(example))
    other = _changed(example)
    return OwnersCall(layout, lambda x: layout(model, x), _leaves(example), other, batch, steps)


def _leaves(batch: Any) -> Any:
    return map_tensors(batch, lambda t: _leaf(t.detach().clone()))


def _changed(batch: Any) -> Any:
    def change(x: Tensor) -> Tensor:
        if not (x.is_floating_point() and x.ndim):
            return x
        x = x.detach().clone()
        x[0] = x[0] + torch.randn(x[0].shape, generator=torch.Generator().manual_seed(2)).to(x)
        return x

    return map_tensors(batch, change)
