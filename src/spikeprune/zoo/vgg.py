"""Spiking VGG nets: convolution, BatchNorm and neuron, with pools between.

`width` multiplies all channels and hidden units; `pool` is 'max' or 'average', `head` 'average' or
'flatten'; `hidden` are the units of spiking layers before the classifier.
"""

from collections.abc import Sequence
from math import ceil

from spikingjelly.activation_based import layer
from torch import nn

from spikeprune.errors import ConfigError, require_one_of
from spikeprune.zoo.net import SpikingNet, Task, classifier_head, conv, norm, scaled, sequence

_POOL = 0  # a 2x2 pool in a list of channels
_VGG9 = (64, 64, _POOL, 128, 128, _POOL, 256, 256, 256, _POOL)
_VGG11 = (64, _POOL, 128, _POOL, 256, 256, _POOL, 512, 512, _POOL, 512, 512, _POOL)
_VGG16 = (*_VGG9, 512, 512, 512, _POOL, 512, 512, 512, _POOL)


def vgg_small(
    task: Task,
    *,
    widths: Sequence[int] = (16, 32, 32, 64),
    strides: Sequence[int] = (2, 1, 2, 1),
    head: str = "average",
    hidden: Sequence[int] = (),
) -> SpikingNet:
    """A small net for tests and demonstrations; strides of convolutions reduce the image."""
    if not widths or len(widths) != len(strides):
        raise ConfigError(
            "expected as many strides as widths, at least one of each, got "
            f"widths {tuple(widths)} and strides {tuple(strides)}"
        )
    side = max(2, *task.image_size)  # a stride of 2 leaves a single pixel as it is
    if any(stride > side for stride in strides):
        raise ConfigError(
            f"expected strides of at most {side} for this image, got {tuple(strides)}"
        )
    return _vgg(task, list(zip(widths, strides, strict=True)), head=head, hidden=hidden)


def vgg9(
    task: Task,
    *,
    width: float = 1.0,
    pool: str = "max",
    head: str = "flatten",
    hidden: Sequence[int] = (1024,),
) -> SpikingNet:
    """Seven convolutions and two linear layers; at least 8x8 pixels."""
    units = [scaled(size, width) for size in hidden]
    return _pooled(task, _VGG9, width=width, pool=pool, head=head, hidden=units)


def vgg11(
    task: Task, *, width: float = 1.0, pool: str = "max", head: str = "average"
) -> SpikingNet:
    """Eight convolutions and, as in `vgg16`, one linear layer; at least 32x32 pixels."""
    return _pooled(task, _VGG11, width=width, pool=pool, head=head)


def vgg16(
    task: Task, *, width: float = 1.0, pool: str = "max", head: str = "average"
) -> SpikingNet:
    """Thirteen convolutions and one linear layer, as in the paper; at least 32x32 pixels.

    14.72 M weights in convolutions and classifier for 10 classes and 3 input channels. Both heads
    are equal at 32x32 pixels.
    """
    return _pooled(task, _VGG16, width=width, pool=pool, head=head)


def _pooled(
    task: Task,
    channels: Sequence[int],
    *,
    width: float,
    pool: str,
    head: str,
    hidden: Sequence[int] = (),
) -> SpikingNet:
    """Return the net of a list of channels and pools, after a check of the image size."""
    pools = {"max": layer.MaxPool2d, "average": layer.AvgPool2d}
    require_one_of("pool", pool, pools)
    minimum = 2 ** sum(item == _POOL for item in channels)
    if min(task.image_size) < minimum:
        raise ConfigError(
            f"this VGG halves the image until {minimum}x{minimum} pixels become one: it needs an "
            f"image_size of at least {minimum}, got {task.image_size[0]}x{task.image_size[1]}; "
            "resize the data (image_size) or choose 'vgg-small'"
        )
    steps = [(scaled(item, width), 1) if item != _POOL else (_POOL, 2) for item in channels]
    return _vgg(task, steps, pool=pools[pool], head=head, hidden=hidden)


def _vgg(
    task: Task,
    steps: Sequence[tuple[int, int]],
    *,
    head: str,
    hidden: Sequence[int],
    pool: type[nn.Module] = nn.Identity,
) -> SpikingNet:
    """Return the net of (channels, stride) steps, where `_POOL` channels are a pool."""
    (first, stride), *rest = steps
    stem = sequence([("conv", conv(task.in_channels, first, stride=stride)), ("norm", norm(first))])
    parts: list[tuple[str, nn.Module]] = [("spike1", task.neuron())]
    size = [ceil(side / stride) for side in task.image_size]
    number, channels = 1, first
    for width, stride in rest:
        if width == _POOL:
            parts.append((f"pool{number}", pool(stride)))
            size = [side // stride for side in size]
            continue
        number += 1
        parts += [
            (f"conv{number}", conv(channels, width, stride=stride)),
            (f"norm{number}", norm(width)),
            (f"spike{number}", task.neuron()),
        ]
        size = [ceil(side / stride) for side in size]
        channels = width
    classifier = classifier_head(task, (channels, size[0], size[1]), kind=head, hidden=hidden)
    return SpikingNet(task, (stem, sequence(parts), classifier))
