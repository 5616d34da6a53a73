"""The net of a run, from its name and arguments: built from the zoo or by the user's callable."""

import inspect
from functools import partial
from typing import Any

from torch import nn

from spikeprune import zoo
from spikeprune.errors import ModelError, SpikePruneError, one_line
from spikeprune.user_code import user_callable

_OFFERED = ("classes", "in_channels", "image_size", "time_steps")


def build_model(name: str, arguments: dict[str, Any]) -> nn.Module:
    """Build a zoo model, or call the user's `module:callable`.

    A user's callable gets classes, in_channels, image_size and time_steps only if it has parameters
    of these names; all other arguments are passed as they are.

    Raises:
        ConfigError: an unknown name, or a module or callable that does not exist.
        ModelError: the callable fails, or returns no module.
    """
    function = user_callable(name, "model") if ":" in name else partial(zoo.build, name)
    try:
        parameters = inspect.signature(function).parameters
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        taken = {
            k: v for k, v in arguments.items() if k in parameters or open_ended or k not in _OFFERED
        }
        model = function(**taken)
    except SpikePruneError:
        raise
    except Exception as error:  # whatever the user's code raises, or arguments of a wrong type
        raise ModelError(
            f"model {name!r} could not be built with {arguments}: {one_line(error)}"
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"model {name!r} returned {type(model).__name__}, expected an nn.Module")
    return model
