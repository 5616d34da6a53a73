"""Cut plans: which positions of every tensor stay, and how a net is cut by them.

A plan is JSON: `apply_plan` turns a net built anew at full size into the cut net, without
Torch-Pruning and without a trace; it then takes the cut net's state_dict.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Required, TypedDict

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from spikeprune.adapters.rest import reset
from spikeprune.errors import ModelError
from spikeprune.files import checked
from spikeprune.science.masks import Mask
from spikeprune.wiring.channel_masks import (
    channel_count,
    channel_tensors,
    checked_live,
    tensor_owner,
)
from spikeprune.wiring.tied_channels import ChannelGroup

Plan = dict[str, Any]
"""`{"version": 1, "modules": {name: {role: [kept positions], "of": {role: size before}}}}`, for the
modules that change only; roles as in `Member`."""

_VERSION = 1
_ROLES = ("out", "in", "norm", "state", "tensor")

_Position = Annotated[int, Meta(ge=0)]
_Entry = TypedDict(  # a class could have no field called `in`
    "_Entry",
    {
        "out": list[_Position],
        "in": list[_Position],
        "norm": list[_Position],
        "state": list[_Position],
        "tensor": list[_Position],
        "of": Required[dict[str, _Position]],
    },
    total=False,
)


class CutPlan(TypedDict):
    """A `Plan` as a file holds it."""

    version: int
    modules: dict[str, _Entry]


def plan_for(groups: tuple[ChannelGroup, ...], live: Mapping[str, Tensor]) -> Plan:
    """Return the plan that keeps the live channels, bool `[n]` by group; a missing group is live.

    Raises:
        BudgetError: A group without a live channel.
        ConfigError: A group that does not exist, or a tensor that is not bool `[n]`.
    """
    chosen = checked_live(groups, live)
    kept: dict[tuple[str, str], Tensor] = {}
    for group in groups:
        dead = ~chosen[group.name]
        for member in group.members:
            if dead.any() and member.role in _ROLES:
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
    """Cut a net of full size, the planned one or one built anew in the same way; return it.

    It is cut in place. Smaller parameters replace the old ones (make a new optimiser): they keep
    names and `requires_grad`, and lose their gradients. Neurons are reset. The plan may have made a
    round trip through JSON.

    Raises:
        RunError: Something else than a plan.
        ModelError: A plan of another version, or made for another net.
    """
    for path, role, keep in list(_cuts(model, plan)):  # checked as a whole before the first cut
        for name, dim in channel_tensors(model, path, role, plan["modules"][path]["of"][role]):
            _slice(model, name, dim, keep)
        if role in ("out", "in"):
            _resize(model.get_submodule(path), role, len(keep))
    reset(model)
    return model


def cut_mask(model: nn.Module, mask: Mapping[str, Tensor], plan: Plan) -> Mask:
    """Return the masks of the cut net, given `model` and its masks BEFORE the cut.

    Raises:
        ModelError: As `apply_plan`.
    """
    masks = dict(mask)
    for path, role, keep in _cuts(model, plan):
        for name, dim in channel_tensors(model, path, role, plan["modules"][path]["of"][role]):
            if name in masks:
                masks[name] = masks[name].index_select(dim, keep.to(masks[name].device))
    return Mask(masks)


def _cuts(model: nn.Module, plan: Plan) -> Iterator[tuple[str, str, Tensor]]:
    """Yield (module name, role, kept positions) of a plan that fits the model."""
    checked(plan, CutPlan, "the channel plan")
    if plan["version"] != _VERSION:
        raise ModelError(
            f"expected a channel plan of version {_VERSION}, got {plan['version']!r}; "
            "make the plan again with this version of spikeprune"
        )
    modules = dict(model.named_modules())
    for path, entry in plan["modules"].items():
        for role in _ROLES:
            if role not in entry:
                continue
            size = entry["of"].get(role, 0)
            before = _tensor_size(model, path, size)
            if role != "tensor":
                before = channel_count(modules.get(path), role) or (path in modules and size)
            if before != size:
                raise ModelError(
                    f"the channel plan does not fit: it expects {size} channels ({role}) in "
                    f"{path!r}, the model has {before or 'no such layer'}; build the net that "
                    "was pruned, at full size"
                )
            yield path, role, torch.tensor(_positions(entry[role], size, path), dtype=torch.int64)


def _positions(kept: list[int], size: int, path: str) -> list[int]:
    """Return kept positions after a check that they are in [0, size), in order, and not none."""
    if not kept or kept[-1] >= size or sorted(set(kept)) != kept:
        raise ModelError(
            f"the channel plan does not fit: expected rising positions from 0 to {size - 1} in "
            f"{path!r}; make the plan again from the net that was pruned"
        )
    return kept


def _tensor_size(model: nn.Module, path: str, size: int) -> int:
    """Return `size` if a tensor of that name has one axis of that length, else 0."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return size if path in tensors and list(tensors[path].shape).count(size) == 1 else 0


def _slice(model: nn.Module, name: str, dim: int, keep: Tensor) -> None:
    owner, local = tensor_owner(model, name)
    old: Tensor = getattr(owner, local)
    new = old.index_select(dim, keep.to(old.device))
    if old.dim() == 4 and old.is_contiguous(memory_format=torch.channels_last):
        new = new.contiguous(memory_format=torch.channels_last)
    parameter = isinstance(old, nn.Parameter)
    setattr(owner, local, nn.Parameter(new, old.requires_grad) if parameter else new)
    if isinstance(owner, _BatchNorm):  # also one inside a neuron
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
