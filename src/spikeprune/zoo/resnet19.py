"""ResNet19 for 32x32 images, in the two forms that pruning papers use under one name.

`width` multiplies all channels and hidden units; `head` is 'average' or 'flatten'.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import final

from torch import Tensor, nn

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

_WIDTHS = (128, 256, 512)
_BLOCKS = (3, 3, 2)


@final
class _PreBlock(nn.Module):
    """Twice norm, neuron and convolution, added to the analog input."""

    def __init__(
        self, in_channels: int, channels: int, *, stride: int, neuron: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        self.norm1, self.spike1 = norm(in_channels), neuron()
        self.conv1 = conv(in_channels, channels, stride=stride)
        self.norm2, self.spike2 = norm(channels), neuron()
        self.conv2 = conv(channels, channels)
        changes = stride != 1 or in_channels != channels
        # It reads spikes, not the analog sum: operands of all but the net's first are binary.
        self.shortcut = conv(in_channels, channels, kernel=1, stride=stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.spike1(self.norm1(x))
        out: Tensor = self.conv2(self.spike2(self.norm2(self.conv1(spikes))))
        return out + (x if self.shortcut is None else self.shortcut(spikes))


@final
class _PostBlock(nn.Module):
    """Convolution, norm, neuron, convolution, norm, the shortcut's sum, and a neuron."""

    def __init__(
        self, in_channels: int, channels: int, *, stride: int, neuron: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, stride=stride)
        self.norm1, self.spike1 = norm(channels), neuron()
        self.conv2, self.norm2 = conv(channels, channels), norm(channels)
        self.shortcut = None
        if stride != 1 or in_channels != channels:
            projection = conv(in_channels, channels, kernel=1, stride=stride)
            self.shortcut = sequence([("conv", projection), ("norm", norm(channels))])
        self.spike2 = neuron()

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm2(self.conv2(self.spike1(self.norm1(self.conv1(x)))))
        shortcut = x if self.shortcut is None else self.shortcut(x)
        spikes: Tensor = self.spike2(out + shortcut)
        return spikes


def resnet19_pre(task: Task, *, width: float = 1.0, head: str = "average") -> SpikingNet:
    """Pre-activation ResNet19, as in the paper: stem of 64, blocks [3, 3, 2] of 128, 256, 512.

    12.49 M weights in convolutions and classifier for 10 classes and 3 input channels.
    """
    first = scaled(64, width)
    stem = sequence([("conv", conv(task.in_channels, first))])  # the first block has the norm
    widths = [scaled(channels, width) for channels in _WIDTHS]
    parts = stages(partial(_PreBlock, neuron=task.neuron), first, widths, _BLOCKS)
    parts += [("norm", norm(widths[-1])), ("spike", task.neuron())]
    return SpikingNet(task, (stem, sequence(parts), _head(task, widths[-1], kind=head)))


def resnet19_post(
    task: Task, *, width: float = 1.0, head: str = "average", hidden: int = 256
) -> SpikingNet:
    """Post-activation ResNet19 of the lottery-ticket papers, with a spiking hidden layer.

    12.69 M weights in convolutions and linear layers for 10 classes and 3 input channels.
    """
    widths = [scaled(channels, width) for channels in _WIDTHS]
    first = widths[0]
    stem = sequence([("conv", conv(task.in_channels, first)), ("norm", norm(first))])
    parts: list[tuple[str, nn.Module]] = [("spike", task.neuron())]
    parts += stages(partial(_PostBlock, neuron=task.neuron), first, widths, _BLOCKS)
    classifier = _head(task, widths[-1], kind=head, hidden=[scaled(hidden, width)])
    return SpikingNet(task, (stem, sequence(parts), classifier))


def _head(task: Task, channels: int, *, kind: str, hidden: Sequence[int] = ()) -> nn.Sequential:
    height, width = (-(-side // 4) for side in task.image_size)  # two strides of 2, rounded up
    return classifier_head(task, (channels, height, width), kind=kind, hidden=hidden)
