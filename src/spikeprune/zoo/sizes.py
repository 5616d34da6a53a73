"""Refuse nets of silly size before they are built: they are built first without memory."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import nn

from spikeprune import limits
from spikeprune.errors import ConfigError

_BYTES = 4  # of a number in float32


def require_fitting(
    make: Callable[[], nn.Module], arguments: Mapping[str, Any], inputs: tuple[int, ...]
) -> None:
    """Refuse a net whose parameters and largest layer's output for a sample no memory here holds.

    `make` builds the net of these `arguments`, in step mode 's'; it is called on the device `meta`,
    where tensors have shapes alone. `inputs` is `(T, C, H, W)`.

    Raises:
        ConfigError: it says what would take how much.
    """
    steps, channels, height, width = inputs
    limits.require_at_most(steps, limits.TIME_STEPS, "time_steps", error=ConfigError)
    for name, value in arguments.items():
        if isinstance(value, list | tuple):
            limits.require_at_most(
                len(value), limits.LAYERS, f"entries of {name}", error=ConfigError
            )
    what = f"one sample of {height}x{width} pixels and {channels} channels over {steps} time steps"
    limits.require_memory(_BYTES * steps * channels * height * width, what, error=ConfigError)
    try:
        with torch.device("meta"), torch.no_grad():
            net = make()
            parameters = sum(p.numel() for p in net.parameters())
            values = steps * _largest_output(net, torch.empty(1, channels, height, width))
    except RuntimeError as error:  # a tensor of more than 2^63 bytes
        raise ConfigError(
            f"the net of these sizes ({dict(arguments)}) has a tensor that no memory holds"
        ) from error
    what = f"the net of {parameters:,} parameters ({dict(arguments)}), and {what},"
    limits.require_memory(_BYTES * (parameters + values), what, error=ConfigError)


def _largest_output(net: nn.Module, x: torch.Tensor) -> int:
    """Return how many numbers the layer with the largest output gives out for `x`."""
    largest = 0

    def see(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        nonlocal largest
        largest = max(largest, output.numel())

    for module in net.modules():
        if not any(module.children()):
            module.register_forward_hook(see)
    with suppress(RuntimeError):  # an image that is too small for a layer: said where the net runs
        net.eval()(x)
    return largest
