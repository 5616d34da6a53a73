"""The channels of a net that can be cut, and why the others are left whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from spikeprune.errors import ModelError
from spikeprune.wiring.followed_channels import followed_channels
from spikeprune.wiring.tied_channels import ChannelGroup, channel_groups
from spikeprune.wiring.trace import traced
from spikeprune.wiring.wiring import Wiring

_SHOWN = 3  # reasons in a message


@dataclass(frozen=True)
class Channels:
    """The groups of channels that can be cut.

    Attributes:
        groups: in the model's order of layers.
        whole: by layer, why its output channels are in no group. Layers whose channels are the
            output of the net are not named.
    """

    groups: tuple[ChannelGroup, ...]
    whole: dict[str, str]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on the layers that are left whole."""
        return left_whole(self.whole)


def find_channels(model: nn.Module, example: Any, wiring: Wiring, *, time_steps: int) -> Channels:
    """Find the channels that can be cut.

    One slice through the whole net is followed where that is possible; else the forward as the
    owner calls it, and what cannot be followed is left whole.

    Raises:
        ModelError: no group of channels can be cut.
    """
    if isinstance(example, Tensor) and not wiring.sites:
        try:
            return Channels(channel_groups(model, example, wiring), {})
        except ModelError:
            pass
    trace = traced(model, example, time_steps=time_steps, layout=wiring.layout)
    groups, whole = followed_channels(model, trace)
    return checked(Channels(groups, whole))


def checked(channels: Channels) -> Channels:
    """Return the channels, or refuse if none can be cut.

    Raises:
        ModelError: they have no group.
    """
    if not channels.groups:
        why = [f"{', '.join(names)}: {why}" for why, names in _by_reason(channels.whole)]
        more = f"; and {len(why) - _SHOWN} more reasons" if len(why) > _SHOWN else ""
        raise ModelError(
            "no channel can be cut, prune weights instead ("
            f"{'; '.join(why[:_SHOWN]) or 'all channels are the output of the net'}{more})"
        )
    return channels


def left_whole(whole: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence for each reason to leave the channels of layers as they are."""
    return tuple(
        f"channels left whole: {', '.join(names)}; {why}" for why, names in _by_reason(whole)
    )


def _by_reason(whole: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    layers: dict[str, list[str]] = {}
    for layer, why in whole.items():
        layers.setdefault(why, []).append(layer)
    return list(layers.items())
