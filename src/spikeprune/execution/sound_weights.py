"""Weights that no result can rest on: not finite, not real numbers, a variance below 0."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy

from spikeprune.errors import ModelError

_STATISTICS = ("running_mean", "running_var")


class Fault(NamedTuple):
    """What is wrong with a tensor of a net, and what its owner can do."""

    what: str
    advice: str


def require_sound(model: nn.Module) -> None:
    """Refuse a net whose weights are unsound (see `unsound`).

    Raises:
        ModelError: they are; it names the tensor.
    """
    fault = unsound(model)
    if fault is not None:
        raise ModelError(f"{fault.what}; {fault.advice}")


def unsound(model: nn.Module, state: Mapping[str, Tensor] | None = None) -> Fault | None:
    """Return what is wrong with the first unsound tensor of a net, None if all are sound.

    Sound are parameters and BatchNorm statistics that have values, all finite, and no variance
    below 0; the weights of convolutions and linear layers are real floating numbers.

    Args:
        model: the net.
        state: values by name to look at instead of the model's own, such as those of a file. They
            must be floating numbers wherever the model's own are.
    """
    for name, module in model.named_modules():
        if type(module).__module__.startswith("torch.ao.nn.quantized"):
            return _integers(f"{name or 'the net'} is quantised ({type(module).__name__})")
    layers = _weights_of_layers(model)
    for name, own in _tensors(model):
        value = own if state is None else state.get(name)
        real = name in layers or (state is not None and own.is_floating_point())
        fault = None if value is None else _fault(name, value, real=real)
        if fault is not None:
            return fault
    return None


def _weights_of_layers(model: nn.Module) -> set[str]:
    return {
        f"{name}.weight" if name else "weight"
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, nn.Linear | _ConvNd)
    }


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield parameters and BatchNorm statistics by every name that they have."""
    yield from model.named_parameters(remove_duplicate=False)
    for name, buffer in model.named_buffers(remove_duplicate=False):
        if name.endswith(_STATISTICS):
            yield name, buffer


def _fault(name: str, value: Tensor, *, real: bool) -> Fault | None:
    if is_lazy(value) or value.is_meta:
        return Fault(f"{name!r} has no values yet", "give the net its weights, or run it once")
    kind = str(value.dtype).removeprefix("torch.")
    if value.is_quantized or (real and not value.is_floating_point() and not value.is_complex()):
        return _integers(f"{name!r} holds integers ({kind})")
    if real and value.is_complex():
        return Fault(f"{name!r} holds complex numbers ({kind})", "expected real weights")
    wide = value.detach().float() if value.dtype.itemsize == 1 else value.detach()
    finite = wide.isfinite()
    if not bool(finite.all()):
        bad = value.numel() - int(finite.sum())
        what = f"{name!r} holds values that are not finite ({bad} of {value.numel()})"
        return Fault(what, "take weights from before the training diverged")
    if name.endswith("running_var") and bool((wide < 0).any()):
        what = f"{name!r} holds a variance below 0 ({float(wide.min()):.3g})"
        return Fault(what, "measure it anew: torch.optim.swa_utils.update_bn(batches, net)")
    return None


def _integers(what: str) -> Fault:
    return Fault(what, "give the net in floating numbers, as it was before it was quantised")
