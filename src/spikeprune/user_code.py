"""Modules and callables of the user's own, found from the current folder or PYTHONPATH."""

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from spikeprune.errors import ConfigError, one_line


@contextmanager
def current_folder_importable() -> Iterator[None]:
    """Search the current folder first: an installed command searches its own folder instead."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with suppress(ValueError):  # the user's module may have removed it
            sys.path.remove(folder)


def import_user_modules(names: Iterable[str]) -> None:
    """Import modules of the user's, which may register methods."""
    for name in names:
        try:
            with current_folder_importable():
                importlib.import_module(name)
        except Exception as error:  # a module may raise anything while it is imported
            raise _not_importable(f"module {name!r}", error, "a module") from error


def user_callable(name: str, kind: str) -> Callable[..., Any]:
    """Return the callable that `module:callable` names; error messages start with `kind`."""
    module, _, attribute = name.partition(":")
    try:
        with current_folder_importable():
            function: Any = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise _not_importable(f"{kind} {name!r}", error, "module:callable") from error
    if not callable(function):
        raise ConfigError(f"{kind} {name!r} is a {type(function).__name__}, expected a callable")
    return function  # type: ignore[no-any-return]


def _not_importable(what: str, error: Exception, expected: str) -> ConfigError:
    return ConfigError(
        f"{what} cannot be imported ({one_line(error)}); expected {expected}, "
        "found from the current folder or PYTHONPATH"
    )
