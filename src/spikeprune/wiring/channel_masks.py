"""Tensors of a net by channel, and masks of its parameters from the live channels."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from spikeprune.adapters.registry import owner
from spikeprune.errors import BudgetError, ConfigError, require_one_of
from spikeprune.science.masks import Mask
from spikeprune.wiring.tied_channels import ChannelGroup


def channel_masks(
    model: nn.Module, groups: tuple[ChannelGroup, ...], live: Mapping[str, Tensor]
) -> Mask:
    """Return the masks of parameters under which `model` computes exactly what the cut net does.

    They zero the producers' rows and biases of dead channels, and the scale and shift of every
    BatchNorm behind them: the shift alone could fire a neuron (method, section 4). `live` holds
    bool `[n]` by group name; all channels of a missing group are live.
    """
    chosen = checked_live(groups, live)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    masks: dict[str, Tensor] = {}
    for group in groups:
        for member in group.of("out", "norm"):
            dead = member.index[~chosen[group.name]].reshape(-1)
            for name, dim in channel_tensors(model, member.module, member.role, member.size):
                parameter = parameters.get(name)
                if parameter is None:
                    continue
                if name not in masks:
                    masks[name] = torch.ones_like(parameter, dtype=torch.bool)
                masks[name].index_fill_(dim, dead.to(parameter.device), False)
    return Mask(masks)


def checked_live(groups: tuple[ChannelGroup, ...], live: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the live channels of every group on the CPU, after checking names and tensors."""
    names = {group.name for group in groups}
    for name in live:
        require_one_of("channel group", name, names)
    chosen = {}
    for group in groups:
        value = live.get(group.name, torch.ones(group.channels, dtype=torch.bool))
        if value.dtype != torch.bool or value.shape != (group.channels,):
            raise ConfigError(
                f"expected a bool tensor of shape ({group.channels},) for the channels of "
                f"{group.name!r}, got {value.dtype} of shape {tuple(value.shape)}"
            )
        if not value.any():
            raise BudgetError(
                f"expected at least one live channel in {group.name!r}, got none of "
                f"{group.channels}: the layer would vanish; lower the sparsity or raise the floor"
            )
        chosen[group.name] = value.cpu()
    return chosen


def channel_count(module: nn.Module | None, role: str) -> int | None:
    """Return the length of the dimension of a role; None if the module does not define it."""
    if isinstance(module, _ConvNd):
        return module.out_channels if role == "out" else module.in_channels
    if isinstance(module, nn.Linear):
        return module.out_features if role == "out" else module.in_features
    return module.num_features if isinstance(module, _BatchNorm) else None


def channel_tensors(model: nn.Module, path: str, role: str, size: int) -> Iterator[tuple[str, int]]:
    """Yield (name, dimension) of the tensors with one entry per channel of a member of a group."""
    if role == "site":  # what such a neuron keeps by channel are members of their own
        return
    if role == "tensor":
        yield path, tensor_of(model, path).shape.index(size)
        return
    module, before = model.get_submodule(path), f"{path}." if path else ""
    if role == "state":
        for name in owner(module).channel_state(module):
            shape = tensor_of(module, name).shape
            yield before + name, shape.index(max(shape))
    elif role == "norm":
        for name, tensor in (module._parameters | module._buffers).items():
            if tensor is not None and tensor.shape == (size,):
                yield before + name, 0
    else:
        transposed = getattr(module, "transposed", False)
        yield f"{before}weight", int((role == "in") != transposed)
        if role == "out" and module._parameters.get("bias") is not None:
            yield f"{before}bias", 0


def tensor_owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the submodule that holds a tensor of dotted name, and the tensor's own name."""
    path, _, local = name.rpartition(".")
    return model.get_submodule(path), local


def tensor_of(model: nn.Module, name: str) -> Tensor:
    """Return a parameter or buffer of dotted name."""
    holder, local = tensor_owner(model, name)
    found: Tensor = getattr(holder, local)
    return found
