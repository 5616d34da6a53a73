"""Cutting channels out of the tensors of a net: the masked net, the plan, and the cut.

A plan is JSON: a net that is built afresh at full size becomes the cut net by `apply_plan`, without
Torch-Pruning and without a trace, and then takes the cut net's state_dict.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from spikeprune.adapters.base import adapter_for
from spikeprune.errors import BudgetError, ConfigError, ModelError, unknown_name
from spikeprune.science.masks import Mask
from spikeprune.wiring.tied_channels import ChannelGroup

Plan = dict[str, Any]
"""`{"version": 1, "modules": {name: {role: [kept positions], "of": {role: size before}}}}`, for the
touched modules only; roles as in `Member`."""

_VERSION = 1
_ROLES = ("out", "in", "norm", "state")


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


def plan_for(groups: tuple[ChannelGroup, ...], live: Mapping[str, Tensor]) -> Plan:
    """Return what `apply_plan` must keep of every module, as JSON values.

    Args:
        groups: Groups of tied channels.
        live: Bool `[n]` by group name; a group that is not there lives whole.

    Raises:
        BudgetError: A group without a live channel.
        ConfigError: A group that does not exist, or a tensor that is not bool `[n]`.
    """
    chosen = _checked(groups, live)
    kept: dict[tuple[str, str], Tensor] = {}
    for group in groups:
        dead = ~chosen[group.name]
        for member in group.members:
            if dead.any():
                # Several groups meet in one module where channels are concatenated.
                keep = kept.setdefault(
                    (member.module, member.role), torch.ones(member.size, dtype=torch.bool)
                )
                keep[member.index[dead].reshape(-1)] = False
    modules: dict[str, dict[str, Any]] = {}
    for (module, role), keep in kept.items():
        entry = modules.setdefault(module, {"of": {}})
        entry[role] = keep.nonzero().flatten().tolist()
        entry["of"][role] = len(keep)
    return {"version": _VERSION, "modules": modules}


@torch.no_grad()
def apply_plan(model: nn.Module, plan: Plan) -> nn.Module:
    """Cut a net of full size, in place, and return it.

    Parameters are replaced by smaller ones (an optimiser must be made anew), keep their
    `requires_grad` and names, and lose their gradients; neurons are reset.

    Args:
        model: The net that the plan was made for, or one built afresh with the same arguments.
        plan: From `plan_for`, also after a round trip through JSON.

    Raises:
        ModelError: A plan of another version, or made for another net.
    """
    cuts = list(_cuts(model, plan))
    for path, role, keep in cuts:
        module = model.get_submodule(path)
        for name, dim in _parts(model, module, role):
            _slice(module, name, dim, keep)
        _resize(module, role, len(keep))
    adapter_for(model).reset(model)
    return model


def cut_mask(model: nn.Module, mask: Mapping[str, Tensor], plan: Plan) -> Mask:
    """Return the masks of the net after the cut, given those of the net before.

    Args:
        model: The net BEFORE the cut.
        mask: Bool masks by parameter name; parameters of untouched modules stay as they are.
        plan: From `plan_for`.

    Raises:
        ModelError: As `apply_plan`.
    """
    masks = dict(mask)
    for path, role, keep in _cuts(model, plan):
        for name, dim in _parts(model, model.get_submodule(path), role):
            key = f"{path}.{name}"
            if key in masks:
                masks[key] = masks[key].index_select(dim, keep.to(masks[key].device))
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


def _cuts(model: nn.Module, plan: Plan) -> Iterator[tuple[str, str, Tensor]]:
    """Yield (module name, role, kept positions) of a plan that fits the model."""
    if plan.get("version") != _VERSION:
        raise ModelError(
            f"expected a channel plan of version {_VERSION}, got {plan.get('version')!r}; "
            "make the plan again with this version of spikeprune"
        )
    modules = dict(model.named_modules())
    for path, entry in plan["modules"].items():
        for role in _ROLES:
            if role not in entry:
                continue
            size, before = entry["of"][role], _size(modules.get(path), role)
            if path not in modules or before not in (None, size):
                raise ModelError(
                    f"the channel plan does not fit: it expects {size} channels ({role}) in "
                    f"{path!r}, the model has {before or 'no such layer'}; build the net that "
                    "was pruned, at full size"
                )
            yield path, role, torch.tensor(entry[role], dtype=torch.int64)


def _size(module: nn.Module | None, role: str) -> int | None:
    """Return the length of the dimension that a role stands for; None if the module has no say."""
    if isinstance(module, _ConvNd):
        return module.out_channels if role == "out" else module.in_channels
    if isinstance(module, nn.Linear):
        return module.out_features if role == "out" else module.in_features
    return module.num_features if isinstance(module, _BatchNorm) else None


def _parts(model: nn.Module, module: nn.Module, role: str) -> Iterator[tuple[str, int]]:
    """Yield (name, dimension) of the module's tensors that have one entry per channel."""
    if role == "state":
        for name in adapter_for(model).channel_state(module):
            owner, local = _owner(module, name)
            shape = getattr(owner, local).shape
            yield name, shape.index(max(shape))
    elif role == "norm":
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None and tensor.dim() == 1 and len(tensor) == _size(module, role):
                yield name, 0
    else:
        transposed = getattr(module, "transposed", False)
        yield "weight", int((role == "in") != transposed)
        if role == "out" and module._parameters.get("bias") is not None:
            yield "bias", 0


def _owner(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the submodule that holds a tensor of dotted name, and the tensor's own name."""
    path, _, local = name.rpartition(".")
    return module.get_submodule(path), local


def _slice(module: nn.Module, name: str, dim: int, keep: Tensor) -> None:
    owner, local = _owner(module, name)
    old: Tensor = getattr(owner, local)
    new = old.index_select(dim, keep.to(old.device))
    if old.dim() == 4 and old.is_contiguous(memory_format=torch.channels_last):
        new = new.contiguous(memory_format=torch.channels_last)
    parameter = isinstance(old, nn.Parameter)
    setattr(owner, local, nn.Parameter(new, old.requires_grad) if parameter else new)
    if owner is not module and isinstance(owner, _BatchNorm):  # a norm inside a neuron
        owner.num_features = len(keep)


def _resize(module: nn.Module, role: str, size: int) -> None:
    """Set the numbers that a module keeps beside its tensors."""
    if isinstance(module, _ConvNd):
        if module.groups > 1:  # depthwise: rows are inputs
            module.groups = module.in_channels = module.out_channels = size
        elif role == "out":
            module.out_channels = size
        else:
            module.in_channels = size
    elif isinstance(module, nn.Linear):
        if role == "out":
            module.out_features = size
        else:
            module.in_features = size
    elif isinstance(module, _BatchNorm):
        module.num_features = size
