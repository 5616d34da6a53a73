"""The parts that all zoo models share: the net of stem, body and head, and its layers."""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from spikingjelly.activation_based import base, layer
from torch import Tensor, nn

from spikeprune.errors import ConfigError, DataError, require_one_of


@dataclass(frozen=True)
class Task:
    """The data and the neuron that a zoo model is built for."""

    classes: int  # K
    in_channels: int
    image_size: tuple[int, int]  # (height, width) in pixels
    time_steps: int
    neuron: Callable[[], nn.Module]  # makes one new spiking neuron per call


@final
class SpikingNet(nn.Module, base.StepModule):  # type: ignore[misc]
    """A spiking classifier of the `parts` (stem, body, head).

    Step mode 'm' takes recordings `[T, B, C, H, W]` or static images `[B, C, H, W]`, which it
    expands over T, and returns logits `[T, B, K]`. Step mode 's' takes one slice `[B, C, H, W]`
    and returns `[B, K]`.
    """

    def __init__(self, task: Task, parts: tuple[nn.Module, nn.Module, nn.Module]) -> None:
        super().__init__()
        self.step_mode = "s"
        self.stem, self.body, self.head = parts
        self.time_steps = task.time_steps
        self.accepts_static = True
        self.input_shape = (task.in_channels, *task.image_size)
        self.arguments: dict[str, Any] = {}

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `[T, B, K]` (step mode 'm') or `[B, K]` (step mode 's')."""
        self._check(x)
        if self.step_mode == "m" and x.dim() == 4:
            x = x.expand(self.time_steps, *x.shape)
        logits: Tensor = self.head(self.body(self.stem(x)))
        return logits

    def _check(self, x: Tensor) -> None:
        dims = (4,) if self.step_mode == "s" else (4, 5)
        if x.dim() not in dims or tuple(x.shape[-3:]) != self.input_shape:
            layouts = "[B, C, H, W]" if self.step_mode == "s" else "[B, C, H, W] or [T, B, C, H, W]"
            raise DataError(
                f"expected an input {layouts} with (C, H, W) = {self.input_shape}, got "
                f"{tuple(x.shape)}; build the model for this data (in_channels, image_size)"
            )
        if x.dim() == 5 and x.shape[0] != self.time_steps:
            raise DataError(
                f"expected {self.time_steps} time steps, got an input with {x.shape[0]}; "
                "build the model with time_steps equal to that of the data"
            )


def conv(in_channels: int, out_channels: int, *, kernel: int = 3, stride: int = 1) -> nn.Module:
    """Return a convolution without bias, padded by half its kernel, with Kaiming weights."""
    module: nn.Conv2d = layer.Conv2d(
        in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False
    )
    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return module


def norm(channels: int) -> nn.Module:
    """Return a BatchNorm of channels with statistics over time, batch and space."""
    module: nn.Module = layer.BatchNorm2d(channels)
    return module


def sequence(parts: Sequence[tuple[str, nn.Module]]) -> nn.Sequential:
    """Return a Sequential of named parts."""
    return nn.Sequential(OrderedDict(parts))


def stages(
    block: Callable[..., nn.Module], in_channels: int, widths: Sequence[int], counts: Sequence[int]
) -> list[tuple[str, nn.Module]]:
    """Return stages of `counts` blocks of `widths` channels; all but the first halve the image."""
    parts: list[tuple[str, nn.Module]] = []
    for stage, (channels, count) in enumerate(zip(widths, counts, strict=True), start=1):
        blocks = []
        for index in range(count):
            stride = 2 if stage > 1 and index == 0 else 1
            blocks.append(block(in_channels, channels, stride=stride))
            in_channels = channels
        parts.append((f"stage{stage}", nn.Sequential(*blocks)))
    return parts


def scaled(channels: int, width: float) -> int:
    """Return channels times width, at least 1."""
    if not 0 < width < math.inf:
        raise ConfigError(f"expected a positive width multiplier, got {width}")
    return max(1, round(channels * width))


def classifier_head(
    task: Task, features: tuple[int, int, int], *, kind: str = "average", hidden: Sequence[int] = ()
) -> nn.Sequential:
    """Return pooling or flattening, spiking hidden layers, and the linear classifier.

    `features` is the input's (channels, height, width), `kind` 'average' (global pooling) or
    'flatten'; `hidden` are the units of hidden layers, each followed by BatchNorm and a neuron.
    """
    require_one_of("head", kind, ("average", "flatten"))
    channels, height, width = features
    parts: list[tuple[str, nn.Module]] = []
    units = channels * height * width
    if kind == "average":
        parts.append(("pool", layer.AdaptiveAvgPool2d((1, 1))))
        units = channels
    parts.append(("flatten", layer.Flatten()))
    for number, size in enumerate(hidden, start=1):
        # The BatchNorm's scale gives hidden units a saliency, as it does for convolutions.
        parts += [
            (f"hidden{number}", layer.Linear(units, size, bias=False)),
            (f"norm{number}", layer.BatchNorm1d(size)),
            (f"spike{number}", task.neuron()),
        ]
        units = size
    parts.append(("classifier", layer.Linear(units, task.classes)))
    return sequence(parts)
