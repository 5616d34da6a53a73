"""Fold BatchNorms into the layers before them, for inference: same function, fewer passes."""

import copy
from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from spikeprune.adapters.registry import adapter_for
from spikeprune.errors import DataError, ModelError
from spikeprune.execution.forward import Forward, evaluating, is_static

_NORM_STATE = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
_LAYER_STATE = {"weight", "bias"}


def fold_batchnorm(model: nn.Module, example: Tensor) -> nn.Module:
    """Return a copy in eval mode whose BatchNorms are folded where that changes nothing.

    A BatchNorm is folded into a convolution or linear layer whose output goes there and nowhere
    else; those behind an addition, a pool or a neuron stay. In a folded place stands an Identity.

    Args:
        model: the net; its state is reset, all else is left as it was.
        example: one slice `[B, C, H, W]` or `[B, F]`; its values do not matter.
    """
    adapter_for(model).reset(model)
    folded = copy.deepcopy(model).eval()
    for layer, norm in _pairs(folded, example):
        _fold(folded, layer, norm)
    return folded


def _pairs(model: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """Return (layer, norm) names where the norm is the only reader of the layer, by autograd."""
    made: dict[Any, str] = {}
    read: dict[str, Any] = {}
    calls: Counter[str] = Counter()

    def layer_hook(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            made[output.grad_fn] = name
            calls[name] += 1

        return hook

    def norm_hook(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            read[name] = args[0].grad_fn
            calls[name] += 1

        return hook

    handles = []
    try:
        for name, module in model.named_modules():
            state = set(module.state_dict())
            # More state than these means a layer that computes something else.
            if isinstance(module, _ConvNd | nn.Linear) and state <= _LAYER_STATE:
                handles.append(module.register_forward_hook(layer_hook(name)))
            elif _foldable(module) and state <= _NORM_STATE:
                handles.append(module.register_forward_pre_hook(norm_hook(name)))
        with adapter_for(model).tracing(model):
            output = model(example.detach().clone().requires_grad_())
    finally:
        for handle in handles:
            handle.remove()
    readers = _readers(output)
    return [
        (made[node], norm)
        for norm, node in read.items()
        if node in made and readers[node] == 1 and calls[norm] == calls[made[node]] == 1
    ]


def _foldable(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.running_mean is not None


def _readers(output: Tensor) -> Counter[Any]:
    """Return how many times each autograd node of the graph is read."""
    readers: Counter[Any] = Counter()
    seen, waiting = set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        sources = [source for source, _ in node.next_functions]
        readers.update(sources)
        waiting += sources
    return readers


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

    Several norms behind one layer give their mean; behind a flatten a channel takes the mean over
    its block of positions.

    Args:
        model: holds the norms.
        norms: their names.
        channels: output channels of the layer in front.

    Raises:
        ModelError: a norm without running statistics.
    """
    gains = []
    for name in norms:
        norm = model.get_submodule(name)
        variance = norm.running_var
        if not isinstance(variance, Tensor):
            raise ModelError(
                f"expected a BatchNorm with running statistics to tell how far {name!r} stretches "
                "potentials, got one without; set track_running_stats=True"
            )
        gamma = norm.weight if isinstance(norm.weight, Tensor) else torch.ones_like(variance)
        eps = norm.eps
        assert isinstance(eps, float)
        gain = gamma.abs() / (variance + eps).sqrt()
        gains.append(gain.reshape(channels, -1).mean(1))
    if not gains:
        return torch.ones(channels)
    return torch.stack(gains).mean(0)


@torch.no_grad()
def calibrate_norms(model: nn.Module, batches: Iterable[Any], *, forward: Forward) -> None:
    """Give every BatchNorm the statistics of the data, averaged over the batches, in place.

    In an untrained net the running statistics are still 0 and 1, which no training step ever
    uses. Weights, modes and momentum stay. A batch less than half as large as the first, as a
    last one may be, is left out: its statistics are poor.

    Raises:
        DataError: no batch.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    with evaluating(model):
        try:
            for norm in norms:
                norm.train()  # these alone: dropout and the like stay out of it
                norm.reset_running_stats()
                norm.momentum = None  # a plain average
            first = 0
            for batch in batches:
                x = batch if isinstance(batch, Tensor) else batch[0]
                size = x.shape[0] if is_static(x) else x.shape[1]
                first = first or size
                if 2 * size >= first:
                    forward(x)
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
    adapter_for(model).reset(model)
    if not first:
        raise DataError("expected at least one batch to calibrate BatchNorms on, got none")
