"""Masks of a net's parameters from the live channels of its groups."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from spikeprune.errors import BudgetError, ConfigError, unknown_name
from spikeprune.science.masks import Mask
from spikeprune.wiring.tied_channels import ChannelGroup, _parts


def channel_masks(
    model: nn.Module, groups: tuple[ChannelGroup, ...], live: Mapping[str, Tensor]
) -> Mask:
    """Return the masks of the parameters that make `model` the masked net.

    On dead channels the producers' rows and biases, and scale and shift of every BatchNorm on the
    way, are 0: with a shift left, the shift alone could fire the neuron (method, section 4). The
    net then computes exactly what the cut net computes.

    Args:
        model: The net, for the shapes of its parameters.
        groups: Groups of tied channels.
        live: Bool `[n]` by group name; a group that is not there lives whole.

    Returns:
        Masks of weights and biases of producers and norms of all groups, by parameter name.

    Raises:
        BudgetError: A group without a live channel.
        ConfigError: A group that does not exist, or a tensor that is not bool `[n]`.
    """
    chosen = _checked(groups, live)
    masks: dict[str, Tensor] = {}
    for group in groups:
        for member in (*group.of("out"), *group.of("norm")):
            module = model.get_submodule(member.module)
            dead = member.index[~chosen[group.name]].reshape(-1)
            for name, dim in _parts(model, module, member.role):
                parameter = module._parameters.get(name)
                if parameter is None:
                    continue
                key = f"{member.module}.{name}"
                if key not in masks:
                    masks[key] = torch.ones_like(parameter, dtype=torch.bool)
                masks[key].index_fill_(dim, dead.to(parameter.device), False)
    return Mask(masks)


def _checked(groups: tuple[ChannelGroup, ...], live: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a bool tensor per group on the CPU, after checking names, shapes and floors."""
    names = {group.name for group in groups}
    for name in live:
        if name not in names:
            raise unknown_name("channel group", name, names)
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
