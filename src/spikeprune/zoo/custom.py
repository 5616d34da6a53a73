"""The net of a run: built from the zoo or by the user's callable, from what a run folder keeps."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from torch import nn

from spikeprune import zoo
from spikeprune.errors import ConfigError, ModelError, SpikePruneError, one_line

_OFFERED = ("classes", "in_channels", "image_size", "time_steps")


def build_model(name: str, arguments: dict[str, Any]) -> nn.Module:
    """Build a zoo model, or call the user's `module:callable` with those arguments it takes.

    Of classes, in_channels, image_size and time_steps, a user's callable gets those that it has
    parameters for; all other arguments are passed as they are.

    Raises:
        ConfigError: an unknown name, or a module or callable that does not exist.
        ModelError: the callable fails, or returns no module.
    """
    function = _imported(name) if ":" in name else partial(zoo.build, name)
    try:
        parameters = inspect.signature(function).parameters
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        given = {
            k: v for k, v in arguments.items() if k in parameters or open_ended or k not in _OFFERED
        }
        model = function(**given)
    except SpikePruneError:
        raise
    except Exception as error:  # whatever the user's code raises, or arguments of a wrong type
        raise ModelError(
            f"model {name!r} could not be built with {arguments}: {one_line(error)}"
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"model {name!r} returned {type(model).__name__}, expected an nn.Module")
    return model


def _imported(name: str) -> Callable[..., Any]:
    """Return the user's callable from `module:callable`, found beside the user as well."""
    module_name, _, attribute = name.partition(":")
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        function = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # a module may raise anything while it is imported
        raise ConfigError(
            f"model {name!r} cannot be imported ({one_line(error)}); expected module:callable, "
            "found from the current folder or PYTHONPATH"
        ) from error
    finally:
        sys.path.remove(folder)
    if not callable(function):
        raise ConfigError(f"model {name!r} is a {type(function).__name__}, expected a callable")
    return cast(Callable[..., Any], function)
