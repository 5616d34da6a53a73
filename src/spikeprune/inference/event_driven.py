"""Event-driven inference on a CPU: only spikes and live weights cost.

The neurons' arithmetic is PyTorch's bit for bit; layers add up in another order, so outputs agree
up to rounding unless a potential lies so near to its threshold that rounding decides.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from spikeprune.adapters.rest import reset
from spikeprune.adapters.speedups import fuse, infer_by
from spikeprune.errors import ModelError, missing_extra, require_one_of
from spikeprune.execution.batchnorm import fold_batchnorm
from spikeprune.execution.forward import forward, is_static, of_size
from spikeprune.execution.sound_weights import require_sound
from spikeprune.inference.event_layers import (
    KERNELS,
    EventDrivenLayer,
    EventDrivenPool,
    fire,
    warm_up,
)
from spikeprune.inference.event_tables import obstacle

CHOICES = ("dense", *KERNELS)
_ROUNDS = 5


@dataclass(frozen=True)
class LayerReport:
    """How one layer is computed.

    Of `CHOICES`, `dense` is PyTorch's, `events` costs live weights x non-zero inputs, and `lanes`
    live weights x output positions by vector instructions.
    """

    choice: str
    threads: int  # threads that share the layer
    density: float  # share of its weights that are not 0
    input_rate: float  # share of its inputs that were not 0 in the example
    milliseconds: Mapping[str, float]  # of one forward, by the choices that were tried
    reason: str


_reports: WeakKeyDictionary[nn.Module, LayerReport] = WeakKeyDictionary()


def numba_installed() -> bool:
    """Return whether numba, which event-driven inference needs, is installed."""
    return find_spec("numba") is not None


def event_driven(
    model: nn.Module,
    example: Tensor,
    *,
    time_steps: int,
    layout: str = "sequence",
    choice: str | Mapping[str, str] | None = None,
) -> nn.Module:
    """Return a copy of a net for inference that skips dead weights and, where faster, silence.

    The copy has folded BatchNorms and is called like the net; it has no gradients, and weights that
    are set afterwards have no effect. Measurements on a batch of 1, with the threads that torch is
    set to, choose how each layer is computed; `event_report` returns the outcome. Each sample of a
    larger batch gives the same outputs. Layers without an event-driven form (convolutions over
    three axes, transposed ones, padding with other than zeros, inputs that are not float32) stay
    PyTorch's. The first call on a machine compiles for some seconds, logs the time (logger
    `spikeprune`) and keeps the code on disk if it can.

    Args:
        model: the net; only its state changes: it is reset.
        example: a batch of typical inputs, static or over time; the first sample is used.
        time_steps: T.
        layout: how the net is called, see `execution.forward.forward`.
        choice: one of `CHOICES` for all layers, or by name of the layer. None, or a layer that is
            not named: the fastest by measurement, so that two copies may differ within rounding.

    Raises:
        ConfigError: numba is not installed, or an unknown choice.
        ModelError: weights that are not finite, or not float32 on the CPU, or a named layer that
            does not exist or has no event-driven form.
    """
    if not numba_installed():
        raise missing_extra("numba", "eventdriven", "the event-driven runtime")
    _check_weights(model)
    one = of_size(example, 1)
    warm_up()
    net = fold_batchnorm(model, one if is_static(one) else one[0]).requires_grad_(False)
    fixed = _fixed(net, choice)
    fuse(net)
    with torch.no_grad():
        inputs = _layer_inputs(net, one, time_steps=time_steps, layout=layout)
        for name, x in inputs.items():
            _replace(net, name, x, fixed.get(name))
        infer_by(net, fire)
        for name, module in list(net.named_modules()):
            if EventDrivenPool.fits(module):
                _set(net, name, EventDrivenPool(cast(nn.MaxPool2d, module)))
        reset(net)
    return net


def event_report(model: nn.Module) -> dict[str, LayerReport]:
    """Return how the layers of a net from `event_driven` are computed, by name, in its order.

    A deepcopy of such a net has no report.
    """
    return {name: _reports[m] for name, m in model.named_modules() if m in _reports}


def _check_weights(model: nn.Module) -> None:
    require_sound(model)
    for name, parameter in model.named_parameters():
        if parameter.dtype != torch.float32 or parameter.device.type != "cpu":
            raise ModelError(
                f"expected weights in float32 on the CPU, got {name!r} in {_dtype(parameter)} on "
                f"{parameter.device}; convert a copy: copy.deepcopy(model).float().cpu()"
            )


def _dtype(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _fixed(net: nn.Module, choice: str | Mapping[str, str] | None) -> dict[str, str]:
    """Return the user's choices by layer; one choice for all skips layers that must stay dense."""
    layers = {n: m for n, m in net.named_modules() if isinstance(m, _ConvNd | nn.Linear)}
    if isinstance(choice, str):
        choice = {n: choice for n, m in layers.items() if choice == "dense" or not obstacle(m)}
    for name, value in (choice or {}).items():
        require_one_of("choice", value, CHOICES)
        reason = obstacle(layers[name]) if name in layers else "there is no such layer"
        if reason and value != "dense":
            raise ModelError(f"expected a layer that can be event-driven at {name!r}: {reason}")
    return dict(choice or {})


def _layer_inputs(net: nn.Module, x: Tensor, *, time_steps: int, layout: str) -> dict[str, Tensor]:
    """Return the input of each convolution and linear layer; of several steps the median one."""
    seen: dict[str, list[Tensor]] = {}
    handles = []

    def hook(name: str) -> Any:
        def before(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            if args:
                seen.setdefault(name, []).append(args[0].detach().clone())

        return before

    try:
        for name, module in net.named_modules():
            if isinstance(module, _ConvNd | nn.Linear):
                handles.append(module.register_forward_pre_hook(hook(name)))
        forward(net, x, time_steps=time_steps, layout=layout)
    finally:
        for handle in handles:
            handle.remove()
    by_spikes = {
        n: sorted(calls, key=lambda c: int(c.count_nonzero())) for n, calls in seen.items()
    }
    return {name: calls[len(calls) // 2] for name, calls in by_spikes.items()}


def _replace(net: nn.Module, name: str, x: Tensor, fixed: str | None) -> None:
    """Replace a layer by its fastest form, or by the one that the user has fixed."""
    layer: Any = net.get_submodule(name)
    reason = _stays_dense(layer, x)
    threads = torch.get_num_threads()
    kernels = [kernel for kernel in KERNELS if reason is None and fixed in (None, kernel)]
    candidates: dict[tuple[str, int], nn.Module] = {
        (kernel, parts): EventDrivenLayer(layer, kernel, parts)
        for kernel in kernels
        for parts in sorted({1, threads})
    }
    if fixed in (None, "dense") or not candidates:
        candidates["dense", threads] = layer
    times = _times(candidates, x)
    choice, parts = min(times, key=times.__getitem__)
    chosen = candidates[choice, parts]
    _reports[chosen] = LayerReport(
        choice=choice,
        threads=parts,
        density=float(layer.weight.count_nonzero()) / layer.weight.numel(),
        input_rate=float(x.count_nonzero()) / x.numel(),
        milliseconds={c: min(t for (k, _), t in times.items() if k == c) for c, _ in times},
        reason=reason or ("asked for" if fixed is not None else "the fastest by measurement"),
    )
    _set(net, name, chosen)


def _stays_dense(layer: Any, x: Tensor) -> str | None:
    """Return why a layer must stay dense, or None."""
    reason = obstacle(layer)
    if reason is not None:
        return reason
    if x.dtype != torch.float32:
        return f"its inputs are {_dtype(x)}"
    # A user's subclass of a layer may compute something else.
    ours, own = EventDrivenLayer(layer, "events")(x), layer(x)
    tolerance = 1e-4 * max(1.0, float(own.abs().max()))
    if ours.shape != own.shape or not torch.allclose(ours, own, rtol=0, atol=tolerance):
        return f"{type(layer).__name__} computes something else than its weight and bias say"
    return None


def _times(
    candidates: Mapping[tuple[str, int], nn.Module], x: Tensor
) -> dict[tuple[str, int], float]:
    """Return the least milliseconds of each candidate, taken in turn after one warm-up call."""
    least = dict.fromkeys(candidates, float("inf"))
    for number in range(_ROUNDS + 1):
        for key, module in candidates.items():
            started = time.perf_counter()
            module(x)
            spent = 1000 * (time.perf_counter() - started)
            if number:
                least[key] = min(least[key], spent)
    return least


def _set(net: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, module)
