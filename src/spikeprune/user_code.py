"""Code of the user's own: what files name of it, and finding it by `module:callable`.

A name that the user types is imported. A name in a file may be a stranger's: it is imported only
where the caller says so (`refuse_code`).
"""

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, NamedTuple

from spikeprune.errors import ConfigError, RunError, one_line

_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_ALLOW = "add --trust-code (in Python trust_code=True)"


class NamedCode(NamedTuple):
    """Code that a configuration names."""

    field: str  # dotted, such as `variants.mine.model`
    name: str  # `module:callable`, or a module of `extensions`

    def __str__(self) -> str:
        return f"{self.field} {self.name!r}"


def is_import_path(name: str) -> bool:
    """Return whether `name` has the form `module:callable` or `package.module:callable`."""
    return _IMPORT_PATH.fullmatch(name) is not None


def named_code(values: Mapping[str, Any], where: str = "") -> list[NamedCode]:
    """Return the code that the plain values of a run or of a comparison name; import nothing.

    It is in `model`, `data` and `extensions`, and in a comparison also in `models` and `data_sets`,
    and in `base` and each of `settings` and `variants`. Values of a wrong type count as code.
    """
    found = []
    for field in ("model", "models"):
        found += [NamedCode(where + field, n) for n in _texts(values.get(field)) if ":" in n]
    for field in ("data", "data_sets"):
        names = filter(is_import_path, _texts(values.get(field)))
        found += [NamedCode(where + field, n) for n in names]
    found += [NamedCode(f"{where}extensions", n) for n in _texts(values.get("extensions"))]
    for part in ("base", "settings", "variants"):
        inner = values.get(part)
        if isinstance(inner, Mapping):
            named = (
                {part: inner} if part == "base" else {f"{part}.{n}": v for n, v in inner.items()}
            )
            for name, options in named.items():
                if isinstance(options, Mapping):
                    found += named_code(options, f"{where}{name}.")
    return found


def _texts(value: Any) -> list[str]:
    """Return a text, or the entries of a list, as texts; nothing for None and empty values."""
    return [str(one) for one in (value if isinstance(value, list | tuple) else [value]) if one]


def refuse_code(found: Iterable[NamedCode], source: Path | str, allow: str = _ALLOW) -> None:
    """Raise a `RunError` if `source` names code, saying what it is and how to `allow` it."""
    names = ", ".join(dict.fromkeys(map(str, found)))
    if names:
        raise RunError(
            f"{source} names code that would be imported and run: {names}. Nothing of it was "
            f"imported; if you know the code and trust whoever wrote this, {allow}"
        )


@contextmanager
def current_folder_importable() -> Iterator[None]:
    """Search the current folder as well, last: a file there hides no installed module."""
    folder = os.getcwd()
    added = folder not in sys.path
    if added:
        sys.path.append(folder)
    try:
        yield
    finally:
        if added:
            with suppress(ValueError):  # the user's module may have removed it
                sys.path.remove(folder)


def import_user_modules(names: Iterable[str]) -> None:
    """Import modules of the user's, which may register methods."""
    for name in names:
        try:
            with current_folder_importable():
                importlib.import_module(name)
        except Exception as error:  # a module may raise anything while it is imported
            raise _not_importable(f"module {name!r}", name, error, "a module") from error


def user_callable(name: str, kind: str) -> Callable[..., Any]:
    """Return the callable that `module:callable` names; error messages start with `kind`."""
    module, _, attribute = name.partition(":")
    try:
        with current_folder_importable():
            function: Any = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise _not_importable(f"{kind} {name!r}", module, error, "module:callable") from error
    if not callable(function):
        raise ConfigError(f"{kind} {name!r} is a {type(function).__name__}, expected a callable")
    return function  # type: ignore[no-any-return]


def _not_importable(what: str, module: str, error: Exception, expected: str) -> ConfigError:
    message = (
        f"{what} cannot be imported ({one_line(error)}); expected {expected}, "
        "found from the current folder or PYTHONPATH"
    )
    top = module.partition(".")[0]
    here = PathFinder.find_spec(top, [os.getcwd()]) if top else None
    taken = getattr(sys.modules.get(top), "__file__", None)
    if here and here.origin and taken and Path(here.origin).resolve() != Path(taken).resolve():
        message += f". {here.origin} is not it: {taken} has the same name; rename yours"
    return ConfigError(message)
