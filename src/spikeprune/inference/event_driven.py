"""A net for inference on a CPU in which only spikes and live weights cost.

Made for weight-sparse nets and a batch of 1. BatchNorms are folded, layers are replaced where that
is faster than PyTorch's dense ones, which is measured, and neurons and max pools get loops of their
own. Neurons give the spikes of the same potentials bit for bit; sums are added up in another order
than PyTorch's, so outputs agree up to rounding unless a potential lies so near to its threshold
that rounding decides. numba, an optional package, compiles the loops.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from spikeprune.adapters.registry import adapter_for
from spikeprune.adapters.speedups import fuse, infer_by
from spikeprune.errors import ModelError, missing_extra, unknown_name
from spikeprune.execution.batchnorm import fold_batchnorm
from spikeprune.execution.forward import forward, is_static, of_size
from spikeprune.inference.event_layers import KERNELS, EventLayer, EventPool, fire, warm_up
from spikeprune.inference.event_tables import obstacle

CHOICES = ("dense", *KERNELS)
_ROUNDS = 5


@dataclass(frozen=True)
class EventLayerReport:
    """How one layer is computed.

    Attributes:
        choice: one of `CHOICES`: `dense` is PyTorch's, `events` costs live weights x non-zero
            inputs, `lanes` live weights x output positions by vector instructions.
        threads: that share the layer, of those that torch is set to.
        density: share of its weights that are not 0.
        input_rate: share of its inputs that were not 0 in the example.
        milliseconds: by choice, of one forward with the example; those that were tried.
        reason: why.
    """

    choice: str
    threads: int
    density: float
    input_rate: float
    milliseconds: Mapping[str, float]
    reason: str


def numba_installed() -> bool:
    """Return whether the package is there that the event-driven runtime needs."""
    return find_spec("numba") is not None


def event_driven(
    model: nn.Module,
    example: Tensor,
    *,
    time_steps: int,
    layout: str = "sequence",
    choice: str | Mapping[str, str] | None = None,
) -> nn.Module:
    """Return a copy of a net for inference that skips dead weights and, where it pays, silence.

    The copy has folded BatchNorms and is called like the net; it has no gradients, and weights that
    are set afterwards have no effect. Which way each layer is computed is measured on a batch of 1,
    with the threads that torch is set to; `event_report` tells the outcome. Larger batches give
    the same outputs, sample by sample. What has no event-driven form (convolutions over three
    axes, transposed ones, padding with other than zeros, inputs that are not float32) stays
    PyTorch's. The first call on a machine compiles, which takes some seconds and is kept on disk
    where that is possible; the logger `spikeprune` says how long it took.

    Args:
        model: the net; its state is reset, all else is left as it was.
        example: a batch of typical inputs, of which the first sample is used: static or events.
        time_steps: T.
        layout: how the net is called, see `execution.forward.forward`.
        choice: one of `CHOICES` for all layers, or by name of the layer; None or a name that is
            missing: the fastest by measurement, so that two copies may differ within rounding.

    Raises:
        ConfigError: numba is not installed, or an unknown choice.
        ModelError: weights that are not float32 on the CPU, or a named layer that does not exist
            or has no event-driven form.
    """
    if not numba_installed():
        raise missing_extra("numba", "eventdriven", "the event-driven runtime")
    _check_model(model)
    one = of_size(example, 1)
    warm_up()
    net = fold_batchnorm(model, one if is_static(one) else one[0]).requires_grad_(False)
    fixed = _fixed(net, choice)
    fuse(net)
    with torch.no_grad():
        seen = _inputs(net, one, time_steps=time_steps, layout=layout)
        for name, x in seen.items():
            _replace(net, name, x, fixed.get(name))
        _replace_pools(net)
        adapter_for(net).reset(net)
    return net


def event_report(model: nn.Module) -> dict[str, EventLayerReport]:
    """Return how the layers of a net from `event_driven` are computed, by name, in its order."""
    return {
        name: module._event_report
        for name, module in model.named_modules()
        if isinstance(getattr(module, "_event_report", None), EventLayerReport)
    }


def _check_model(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if parameter.dtype != torch.float32 or parameter.device.type != "cpu":
            raise ModelError(
                f"expected weights in float32 on the CPU, got {name!r} in {_short(parameter)} on "
                f"{parameter.device}; convert a copy: copy.deepcopy(model).float().cpu()"
            )


def _short(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _fixed(net: nn.Module, choice: str | Mapping[str, str] | None) -> dict[str, str]:
    """Return what was asked for, by name of the layer; one choice for all spares those without."""
    layers = {n: m for n, m in net.named_modules() if isinstance(m, _ConvNd | nn.Linear)}
    if isinstance(choice, str):
        choice = {n: choice for n, m in layers.items() if choice == "dense" or not obstacle(m)}
    for name, value in (choice or {}).items():
        if value not in CHOICES:
            raise unknown_name("choice", value, CHOICES)
        reason = obstacle(layers[name]) if name in layers else "there is no such layer"
        if reason and value != "dense":
            raise ModelError(f"expected a layer that can be event-driven at {name!r}: {reason}")
    return dict(choice or {})


def _inputs(net: nn.Module, x: Tensor, *, time_steps: int, layout: str) -> dict[str, Tensor]:
    """Return what each convolution and linear layer read, all calls one after another."""
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
    # Where a layer is called step by step, a step of middling activity stands for all.
    return {
        name: sorted(calls, key=lambda c: int(c.count_nonzero()))[len(calls) // 2]
        for name, calls in seen.items()
    }


def _replace(net: nn.Module, name: str, x: Tensor, fixed: str | None) -> None:
    layer: Any = net.get_submodule(name)
    reason = _reason(layer, x)
    asked = KERNELS if fixed is None else (fixed,)
    threads = torch.get_num_threads()
    candidates: dict[tuple[str, int], nn.Module] = {
        (kernel, parts): EventLayer(layer, kernel, parts)
        for kernel in asked
        if kernel in KERNELS and reason is None
        for parts in sorted({1, threads})
    }
    if fixed in (None, "dense") or not candidates:
        candidates["dense", threads] = layer
    times = _times(candidates, x)
    (choice, parts), chosen = min(candidates.items(), key=lambda item: times[item[0]])
    chosen._event_report = EventLayerReport(  # type: ignore[assignment]
        choice=choice,
        threads=parts,
        density=float(layer.weight.count_nonzero()) / layer.weight.numel(),
        input_rate=float(x.count_nonzero()) / x.numel(),
        milliseconds={c: min(t for (k, _), t in times.items() if k == c) for c, _ in times},
        reason=reason or ("asked for" if fixed is not None else "the fastest by measurement"),
    )
    _set(net, name, chosen)


def _reason(layer: Any, x: Tensor) -> str | None:
    """Return why a layer must stay dense, or None."""
    reason = obstacle(layer)
    if reason is None and x.dtype != torch.float32:
        reason = f"its inputs are {_short(x)}"
    if reason is None:
        # A class of the user's may be derived from a layer and compute something else.
        ours, own = EventLayer(layer, "events")(x), layer(x)
        scale = max(1.0, float(own.abs().max()))
        if ours.shape != own.shape or not torch.allclose(ours, own, rtol=0, atol=1e-4 * scale):
            reason = f"{type(layer).__name__} computes something else than its weight and bias say"
    return reason


def _times(candidates: Mapping[Any, nn.Module], x: Tensor) -> dict[Any, float]:
    """Return the least milliseconds of each, taken in turn after one call to warm up."""
    least = dict.fromkeys(candidates, float("inf"))
    for number in range(_ROUNDS + 1):
        for key, module in candidates.items():
            started = time.perf_counter()
            module(x)
            spent = 1000 * (time.perf_counter() - started)
            if number:
                least[key] = min(least[key], spent)
    return least


def _replace_pools(net: nn.Module) -> None:
    infer_by(net, fire)
    for name, module in list(net.named_modules()):
        if EventPool.fits(module):
            _set(net, name, EventPool(cast(nn.MaxPool2d, module)))


def _set(net: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, module)
