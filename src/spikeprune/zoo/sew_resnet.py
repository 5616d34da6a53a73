"""SEW-ResNet18, whose residual blocks join spikes by an element-wise function."""

from collections.abc import Callable
from functools import partial
from typing import final

from spikingjelly.activation_based import layer
from torch import Tensor, nn

from spikeprune.errors import require_one_of
from spikeprune.zoo.net import (
    SpikingNet,
    Task,
    classifier_head,
    conv,
    norm,
    scaled,
    sequence,
    stages,
)

_WIDTHS = (64, 128, 256, 512)
_IMAGENET_PIXELS = 128

_CONNECT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ADD": lambda out, identity: out + identity,
    "AND": lambda out, identity: out * identity,
    "IAND": lambda out, identity: (1 - out) * identity,
}


@final
class _SewBlock(nn.Module):
    """Two convolutions with norm and neuron, whose spikes g join the shortcut's by `connect`."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int,
        neuron: Callable[[], nn.Module],
        connect: str,
    ) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, stride=stride)
        self.norm1, self.spike1 = norm(channels), neuron()
        self.conv2 = conv(channels, channels)
        self.norm2, self.spike2 = norm(channels), neuron()
        self.shortcut = None
        if stride != 1 or in_channels != channels:
            projection = conv(in_channels, channels, kernel=1, stride=stride)
            parts = [("conv", projection), ("norm", norm(channels)), ("spike", neuron())]
            self.shortcut = sequence(parts)
        self.connect = connect

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.spike1(self.norm1(self.conv1(x)))
        out = self.spike2(self.norm2(self.conv2(spikes)))
        identity = x if self.shortcut is None else self.shortcut(x)
        return _CONNECT[self.connect](out, identity)


def sew_resnet18(
    task: Task,
    *,
    width: float = 1.0,
    connect: str = "ADD",
    stem: str = "auto",
    head: str = "average",
) -> SpikingNet:
    """Spike-element-wise ResNet18 (Fang et al., NeurIPS 2021); `width` multiplies all channels.

    `connect` is 'ADD' (sums of spikes, no longer binary), 'AND' or 'IAND' ((1 - g) * identity);
    `stem` is 'small' (3x3, stride 1), 'imagenet' (7x7, stride 2, then a 3x3 max pool of stride 2)
    or 'auto' (imagenet from 128 pixels on); `head` is 'average' or 'flatten'.
    """
    require_one_of("connection", connect, _CONNECT)
    require_one_of("stem", stem, ("auto", "small", "imagenet"))
    large = stem == "imagenet" or (stem == "auto" and min(task.image_size) >= _IMAGENET_PIXELS)
    widths = [scaled(channels, width) for channels in _WIDTHS]
    channels = widths[0]
    first = conv(task.in_channels, channels, kernel=7 if large else 3, stride=2 if large else 1)
    parts: list[tuple[str, nn.Module]] = [("spike", task.neuron())]
    if large:
        parts.append(("pool", layer.MaxPool2d(3, stride=2, padding=1)))
    block = partial(_SewBlock, neuron=task.neuron, connect=connect)
    parts += stages(block, channels, widths, (2, 2, 2, 2))
    scale = 32 if large else 8
    height, breadth = (-(-side // scale) for side in task.image_size)
    entry = sequence([("conv", first), ("norm", norm(widths[0]))])
    classifier = classifier_head(task, (widths[-1], height, breadth), kind=head)
    return SpikingNet(task, (entry, sequence(parts), classifier))
