"""SpikingJelly's stateless layers, computing equal time steps once; see `adapters.speedups.hoist`.

Like a fused neuron, a hoisted layer stays the same object; only its class changes, to a subclass.
Every forward checks whether its time steps are one expanded step.
"""

import functools
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_PLAIN = "_plain_layer"
_STATELESS = (
    "Conv1d", "Conv2d", "Conv3d", "WSConv2d", "Linear", "WSLinear",
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm",
    "MaxPool1d", "MaxPool2d", "MaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d",
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "Flatten", "Upsample",
)  # fmt: skip


def attach(module: nn.Module) -> bool:
    """Hoist a layer; return whether it is hoisted now."""
    if _PLAIN not in vars(type(module)):
        if type(module) not in _kinds():  # a derived class may compute something else
            return False
        module.__class__ = _hoisted_class(cast(Any, type(module)))
    return True


def detach(module: nn.Module) -> bool:
    """Give a layer its own class back; return whether it was hoisted."""
    plain = vars(type(module)).get(_PLAIN)
    if plain is not None:
        module.__class__ = plain
    return plain is not None


class _Hoisted:
    """First base of a hoisted class; the second is the layer's SpikingJelly class."""

    def hoists(self, x: Tensor) -> bool:
        """Return whether only one step of `x` is computed; see `adapters.base.Hoisted`."""
        layer = cast(Any, self)
        return (
            layer.step_mode == "m"
            and type(x) in (Tensor, nn.Parameter)  # no fake, distributed or wrapped tensor
            and x.ndim > 2
            and len(x) > 1
            and x.stride(0) == 0
            and x.numel() > 0
            and not getattr(layer, "return_indices", False)
            and not (_uses_batch(layer) and _samples(layer, x[0]) == 1)  # PyTorch refuses those
            and "forward" not in vars(layer)
            and not torch.compiler.is_compiling()
            and not cast(Any, torch.jit).is_tracing()
        )

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        run = cast(Any, super()).forward
        if args or kwargs or not self.hoists(x):
            return run(x, *args, **kwargs)
        layer, step = cast(Any, self), _first(x)
        counts = layer.training and getattr(layer, "running_var", None) is not None
        before = layer.running_var.clone() if counts else None
        y: Tensor = run(step.unsqueeze(0))
        if before is not None:
            _repeat_samples(layer, before, _samples(layer, step), len(x))
        return cast(Tensor, cast(Any, _Repeat).apply(y, len(x)))

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # A class made at run time cannot be found by its name, for example by a worker process.
        plain = vars(type(self))[_PLAIN]
        return _rebuilt, (plain,), cast(Any, super().__reduce_ex__(2))[2]


@final
class _Repeat(torch.autograd.Function):
    """Expands one step over time; unlike in `expand`, the gradient keeps its memory format."""

    @staticmethod
    def forward(ctx: Any, step: Tensor, repeats: int) -> Tensor:
        return step.expand(repeats, *step.shape[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        first, *others = gradients[0]
        total = first.to(torch.promote_types(first.dtype, torch.float32), copy=True)
        for other in others:
            total += other
        return total.to(first.dtype).unsqueeze(0), None


_EXPANDING = ("ExpandBackward0", "_RepeatBackward")


@functools.cache
def _kinds() -> frozenset[type]:
    from spikingjelly.activation_based import layer

    # A release without one of the classes simply has no such layer.
    return frozenset(c for name in _STATELESS if (c := getattr(layer, name, None)))


@functools.cache
def _hoisted_class(plain: Any) -> Any:
    members = {"__doc__": plain.__doc__, "__module__": plain.__module__, _PLAIN: plain}
    return type(plain.__name__, (_Hoisted, plain), members)


def _rebuilt(plain: Any) -> Any:
    hoisted = _hoisted_class(plain)
    return hoisted.__new__(hoisted)


def _first(x: Tensor) -> Tensor:
    """Return the first step of an expanded sequence: the expanded tensor itself, if unhooked.

    The gradient of `x[0]` would be T steps of which all but one are zeros.
    """
    base, step = x._base, x[0]
    expanded = x.grad_fn is None or x.grad_fn.name() in _EXPANDING
    heard = x.requires_grad and (x.retains_grad or bool(x._backward_hooks))
    if base is None or not expanded or heard or base.requires_grad != x.requires_grad:
        return step
    here = step.shape, step.stride(), step.storage_offset()
    return base if here == (base.shape, base.stride(), base.storage_offset()) else step


def _uses_batch(layer: Any) -> bool:
    return isinstance(layer, _BatchNorm) and (layer.training or layer.running_var is None)


def _samples(layer: Any, step: Tensor) -> int:
    """Return the number of values per channel and step in the statistics of a BatchNorm."""
    return step.numel() // step.shape[1]


@torch.no_grad()
def _repeat_samples(layer: Any, before: Tensor, samples: int, repeats: int) -> None:
    """Correct a running variance that was updated with n samples to n T samples.

    The update is (1 - f) before + f n / (n - 1) s, with the biased variance s, which is equal for
    n and n T samples. So the second term changes by the factor c = T (n - 1) / (T n - 1).
    """
    f = layer.momentum
    if f is None:  # cumulative average; the count already includes this forward
        f = 1.0 / float(layer.num_batches_tracked)
    c = repeats * (samples - 1) / (repeats * samples - 1)
    # Through `data`, because like PyTorch's update it must not break an earlier forward's backward.
    layer.running_var.data.mul_(c).add_(before, alpha=(1 - c) * (1 - f))
