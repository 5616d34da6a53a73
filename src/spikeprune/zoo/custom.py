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
    """
    function = user_callable(name, "model") if ":" in name else partial(zoo.build, name)
    try:
        parameters = inspect.signature(function).parameters
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        unwanted = [] if open_ended else [k for k in _OFFERED if k not in parameters]
        model = function(**{k: v for k, v in arguments.items() if k not in unwanted})
    except SpikePruneError:
        raise
    except Exception as error:  # whatever the user's code raises, or arguments of a wrong type
        raise ModelError(
            f"model {name!r} could not be built with {arguments}: {one_line(error)}"
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"model {name!r} returned {type(model).__name__}, expected an nn.Module")
    return model
