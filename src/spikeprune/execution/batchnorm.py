"""BatchNorm: folding it into the layer before, its gain, and calibrating its statistics."""

import copy
import functools
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from spikeprune.adapters.registry import as_one_slice
from spikeprune.adapters.rest import reset
from spikeprune.errors import DataError, ModelError
from spikeprune.execution.autograd_graph import ancestors
from spikeprune.execution.forward import Forward, batch_axis, evaluating

_NORM_STATE = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
_LAYER_STATE = {"weight", "bias"}


def fold_batchnorm(model: nn.Module, example: Tensor) -> nn.Module:
    """Return a copy in eval mode with BatchNorms folded into the layers before them.

    The copy computes the same function in fewer passes. A BatchNorm is folded into a convolution
    or linear layer if it is the only reader of the layer's output; it becomes an Identity. A
    BatchNorm behind an addition, a pool or a neuron stays, and so do all in a net that does not run
    on one slice. The given model's state is reset;
    `example` is one slice `[B, C, H, W]` or `[B, F]`, whose values do not matter.
    """
    reset(model)
    folded = copy.deepcopy(model).eval()
    for layer, norm in _pairs(folded, example):
        _fold(folded, layer, norm)
    return folded


def _pairs(model: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """Return names (layer, norm) if the norm alone reads the layer in the autograd graph."""
    made: dict[Any, str] = {}
    read: dict[str, Any] = {}
    calls: Counter[str] = Counter()

    def note(name: str, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        calls[name] += 1
        if isinstance(module, _BatchNorm):
            read[name] = args[0].grad_fn
        else:
            made[output.grad_fn] = name

    with ExitStack() as stack:
        for name, module in model.named_modules():
            state = set(module.state_dict())
            # A layer with other state than this may compute something else.
            layer = isinstance(module, _ConvNd | nn.Linear) and state <= _LAYER_STATE
            norm = isinstance(module, _BatchNorm) and module.running_mean is not None
            if layer or (norm and state <= _NORM_STATE):
                hook = module.register_forward_hook(functools.partial(note, name))
                stack.enter_context(hook)
        stack.enter_context(as_one_slice(model))
        try:
            output = model(example.detach().clone().requires_grad_())
        except Exception:  # a net that does not run on one slice
            return []
    if not isinstance(output, Tensor):
        return []
    readers = Counter(n for node in ancestors(output.grad_fn) for n, _ in node.next_functions)
    return [
        (made[node], norm)
        for norm, node in read.items()
        if node in made and readers[node] == 1 and calls[norm] == calls[made[node]] == 1
    ]


@torch.no_grad()
def _fold(model: nn.Module, layer_name: str, norm_name: str) -> None:
    layer: Any = model.get_submodule(layer_name)
    norm: Any = model.get_submodule(norm_name)
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    if norm.bias is not None:
        shift = shift + norm.bias
    if layer.bias is not None:
        shift = shift + layer.bias * scale
    weight = layer.weight * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
    layer.weight = nn.Parameter(weight.to(layer.weight.dtype))
    layer.bias = nn.Parameter(shift.to(layer.weight.dtype))
    parent, _, child = norm_name.rpartition(".")
    setattr(model.get_submodule(parent), child, nn.Identity())


@torch.no_grad()
def norm_gain(model: nn.Module, norms: Iterable[str], channels: int) -> Tensor:
    """Return `|gamma| / sqrt(running_var + eps)`, `[channels]`; 1 without a BatchNorm.

    `channels` are those of the layer before the norms. Several norms behind one layer give their
    mean. Behind a flatten, a channel takes the mean over its block of positions.
    """
    gains = []
    for name in norms:
        norm: Any = model.get_submodule(name)
        variance = norm.running_var
        if not isinstance(variance, Tensor):
            raise ModelError(
                f"expected {name!r} to have running statistics, from which the gain of a BatchNorm "
                "is computed, got a BatchNorm without; set track_running_stats=True"
            )
        gamma = norm.weight if isinstance(norm.weight, Tensor) else torch.ones_like(variance)
        gain = gamma.abs() / (variance + norm.eps).sqrt()
        gains.append(gain.reshape(channels, -1).mean(1))
    return torch.stack(gains).mean(0) if gains else torch.ones(channels)


@torch.no_grad()
def calibrate_norms(model: nn.Module, batches: Iterable[Any], *, forward: Forward) -> None:
    """Set the running statistics of every BatchNorm to the average over the batches, in place.

    The running statistics of an untrained net are 0 and 1, which no training step ever uses.
    Weights, modes and momentum stay. A batch less than half as large as the first, such as a small
    last one, is left out because its statistics are poor.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    with evaluating(model):
        try:
            for norm in norms:
                norm.train()  # the other modules, such as dropout, stay in eval mode
                norm.reset_running_stats()
                norm.momentum = None  # a plain average
            first = 0
            for batch in batches:
                x = batch if isinstance(batch, Tensor) else batch[0]
                size = x.shape[batch_axis(x, model)]
                first = first or size
                if 2 * size >= first:
                    forward(x)
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
    reset(model)
    if not first:
        raise DataError("expected at least one batch to calibrate BatchNorms on, got none")
