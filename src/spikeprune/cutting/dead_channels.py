"""Channels that weight pruning has left without function: cutting them changes no output."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from spikeprune.adapters.rest import reset
from spikeprune.errors import ModelError
from spikeprune.execution.forward import evaluating
from spikeprune.wiring.tied_channels import ChannelGroup


class KeptChannel(TypedDict):
    """A channel that stays, as in metrics.json."""

    layer: str
    channel: int


@dataclass(frozen=True)
class DeadChannels:
    """The channels of a weight-pruned net that stay; the others can be cut."""

    live: dict[str, Tensor]  # bool [n] by group name, the channels that stay
    # Channels that stay although no live weight leads to them, because their shift alone makes
    # them fire (or the layer would vanish).
    kept_though_inputs_dead: list[KeptChannel] = field(default_factory=list)
    silent: tuple[str, ...] = ()  # groups with channels that are cut because the run was silent


def dead_channels(
    model: nn.Module,
    groups: tuple[ChannelGroup, ...],
    mask: Mapping[str, Tensor],
    *,
    run: Callable[[], Any],
) -> DeadChannels:
    """Return which channels of a weight-pruned net can be cut without changing its output.

    A channel is cut if no live weight reads it, or if no live weight leads to it and its readers
    provably get nothing but 0 from it (method, section 4, "What dead means"). A channel with dead
    inputs is driven by the norms' constants alone, so its spikes do not depend on the input: one
    run of the net shows them. All producers of tied channels must be dead, since a shortcut could
    bring input. Both rules are repeated until nothing changes, because a cut channel takes its
    weights with it.

    `run` resets the net and runs it on any batch; the proof holds in eval mode and for the number
    of steps that it runs. A layer without a mask is live as a whole.

    Raises:
        ModelError: Weights that the mask calls dead are not 0.
    """
    weights = _live_weights(model, groups, mask)
    reached = _reached(model, groups, run)
    silent: dict[str, None] = {}
    live = {group.name: torch.ones(group.channels, dtype=torch.bool) for group in groups}
    idle = {name: torch.zeros_like(alive) for name, alive in live.items()}
    changed = True
    while changed:
        changed = False
        for group in groups:
            fed, read = _in_use(model, group, weights)
            idle[group.name] = ~fed
            cut = live[group.name] & (~read | (~fed & ~reached[group.name]))
            if cut.any() and not (live[group.name] & ~cut).any():
                cut[int(cut.nonzero()[0])] = False  # a layer does not vanish
            if cut.any():
                if (cut & read).any():
                    silent[group.name] = None
                live[group.name] &= ~cut
                _bury(model, group, weights, cut)
                changed = True
    kept = [
        KeptChannel(layer=group.name, channel=channel)
        for group in groups
        for channel in (live[group.name] & idle[group.name]).nonzero().flatten().tolist()
    ]
    return DeadChannels(live, kept, tuple(silent))


def _live_weights(
    model: nn.Module, groups: tuple[ChannelGroup, ...], mask: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the live weights of every layer of the groups, as bool `[out, in]`."""
    weights = {}
    for layer in {name for group in groups for name in (*group.producers, *group.consumers)}:
        module = model.get_submodule(layer)
        weight = module.get_parameter("weight")
        alive = mask.get(f"{layer}.weight", torch.ones_like(weight, dtype=torch.bool))
        if weight.detach()[~alive].count_nonzero():
            raise ModelError(
                f"expected the dead weights of {layer!r} to be 0, but some are not; "
                "apply the mask to the model before looking for dead channels"
            )
        matrix = alive.flatten(2).any(2) if alive.dim() > 2 else alive.clone()
        weights[layer] = (matrix.T if getattr(module, "transposed", False) else matrix).cpu()
    return weights


def _in_use(
    model: nn.Module, group: ChannelGroup, weights: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return (fed, read), bool `[n]`: whether a live weight leads to the channel, or reads it."""
    fed = torch.zeros(group.channels, dtype=torch.bool)
    read = torch.zeros(group.channels, dtype=torch.bool)
    mixing = [member for member in group.of("out") if not _depthwise(model, member.module)]
    for member in mixing:
        fed |= weights[member.module].any(1)[member.index].any(1)
    if not mixing:  # a depthwise convolution of the image
        fed[:] = True
    for member in group.of("in"):
        read |= weights[member.module].any(0)[member.index].any(1)
    return fed, read


def _bury(
    model: nn.Module, group: ChannelGroup, weights: Mapping[str, Tensor], cut: Tensor
) -> None:
    """Mark the weights of the cut channels as dead."""
    for member in group.of("out"):
        weights[member.module][member.index[cut].reshape(-1)] = False
    for member in group.of("in"):
        weights[member.module][:, member.index[cut].reshape(-1)] = False


def _depthwise(model: nn.Module, name: str) -> bool:
    return int(getattr(model.get_submodule(name), "groups", 1)) > 1


def _reached(
    model: nn.Module,
    groups: tuple[ChannelGroup, ...],
    run: Callable[[], Any],
) -> dict[str, Tensor]:
    """Return, per group, whether a reader got a value other than 0 from a channel in one run."""
    got: dict[str, Tensor] = {}

    def watch(name: str, module: nn.Module) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        axis = -1 - (len(module.kernel_size) if isinstance(module, _ConvNd) else 0)

        def record(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            active = (args[0].movedim(axis, 0).flatten(1) != 0).any(1).cpu()
            got[name] = got.get(name, torch.zeros_like(active)) | active

        return record

    readers = {name for group in groups for name in group.consumers}
    with ExitStack() as stack, evaluating(model), torch.no_grad():
        for name in readers:
            module = model.get_submodule(name)
            handle = module.register_forward_pre_hook(watch(name, module))
            stack.callback(handle.remove)
        run()
    reset(model)
    reached = {}
    for group in groups:
        reached[group.name] = torch.zeros(group.channels, dtype=torch.bool)
        for member in group.of("in"):
            reached[group.name] |= got[member.module][member.index].any(1)
    return reached
