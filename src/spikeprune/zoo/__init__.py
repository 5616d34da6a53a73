"""Spiking models by name; SpikingJelly, on which they build, is imported with the first model."""

import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from spikeprune.errors import ConfigError, require_one_of

if TYPE_CHECKING:
    from spikeprune.zoo.net import SpikingNet

__all__ = ["NAMES", "build", "smallest_image"]

# A model is a function (task, *, its arguments) -> SpikingNet in a file here, and one row.
_ROWS = {
    "resnet19-post": ("resnet19", "resnet19_post"),
    "resnet19-pre": ("resnet19", "resnet19_pre"),
    "sew-resnet18": ("sew_resnet", "sew_resnet18"),
    "vgg-small": ("vgg", "vgg_small"),
    "vgg11": ("vgg", "vgg11"),
    "vgg16": ("vgg", "vgg16"),
    "vgg9": ("vgg", "vgg9"),
}
NAMES = tuple(_ROWS)
_SMALLEST = {"vgg9": 8, "vgg11": 32, "vgg16": 32}


def smallest_image(name: str) -> int:
    """Return the smallest side in pixels that a model accepts."""
    return _SMALLEST.get(name, 1)


def build(
    name: str,
    *,
    classes: int,
    in_channels: int,
    image_size: int | Sequence[int],
    time_steps: int,
    neuron: str = "lif",
    reset: str = "hard",
    preset: str | None = None,
    **arguments: Any,
) -> "SpikingNet":
    """Return a freshly initialised spiking model in step mode 'm'.

    Weights are drawn from torch's global generator. `model.arguments` holds the arguments of this
    call as JSON values: `build(**model.arguments)` gives the same architecture.

    Args:
        name: One of `NAMES`.
        classes: Number of classes K.
        in_channels: Channels of the input.
        image_size: Pixels: one number for a square, or (height, width).
        time_steps: T.
        neuron: 'if', 'lif' or 'plif'.
        reset: 'hard' (to 0) or 'soft' (threshold subtracted).
        preset: 'paper-weight' or 'paper-channel', which fix every constant of the neuron; None
            takes the constants of 'paper-channel'.
        **arguments: The model's own, such as `width`.

    Raises:
        ConfigError: An unknown name or argument, a number that is not positive, an image too
            small for the model's pools, or a preset contradicted by neuron or reset.
    """
    require_one_of("model", name, NAMES)
    function = _function(name, arguments)
    numbers = {"classes": classes, "in_channels": in_channels, "time_steps": time_steps}
    image_size = _image_size(image_size)
    for key, value in [*numbers.items(), ("image_size", min(image_size))]:
        if value < 1:
            raise ConfigError(f"expected {key} of at least 1, got {value}")
    task = import_module("spikeprune.zoo.net").Task(
        **numbers,
        image_size=image_size,
        neuron=import_module("spikeprune.zoo.neurons").neuron_factory(neuron, reset, preset),
    )
    import_module("spikeprune.zoo.sizes").require_fitting(
        lambda: function(task, **arguments),
        {"classes": classes, **arguments},
        (time_steps, in_channels, *image_size),
    )
    model = function(task, **arguments)
    import_module("spikingjelly.activation_based.functional").set_step_mode(model, "m")
    model.arguments = {
        "name": name,
        **numbers,
        "image_size": list(image_size),
        "neuron": neuron,
        "reset": reset,
        "preset": preset,
        **{key: list(v) if isinstance(v, tuple) else v for key, v in arguments.items()},
    }
    return model


def _image_size(image_size: int | Sequence[int]) -> tuple[int, int]:
    sides = [image_size] * 2 if isinstance(image_size, int) else list(image_size)
    if len(sides) != 2:
        raise ConfigError(f"expected image_size as one number or (height, width), got {image_size}")
    return sides[0], sides[1]


def _function(name: str, arguments: dict[str, Any]) -> "Callable[..., SpikingNet]":
    """Return the model's function after a check of its arguments."""
    module, attribute = _ROWS[name]
    place = import_module(f"spikeprune.zoo.{module}")
    function: Callable[..., SpikingNet] = getattr(place, attribute)
    valid = inspect.signature(function).parameters.keys() - {"task"}
    for key in arguments:
        require_one_of(f"argument of model {name!r}", key, valid)
    return function
