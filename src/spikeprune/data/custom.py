"""The user's own loaders, named as `module:callable`."""

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from spikeprune.data.checked_loader import CheckedLoader
from spikeprune.data.options import Options
from spikeprune.data.types import Data, DataInfo, Kind
from spikeprune.errors import ConfigError, DataError
from spikeprune.user_code import current_folder_importable, user_callable

_TUPLE = ("train", "validation", "test", "shape", "classes")
_OPTIONAL = ("score", "kind", "label", "mean", "std")


def taken(name: str) -> frozenset[str] | None:
    """Return the parameters that the user's function has; None if it takes any."""
    parameters = inspect.signature(user_callable(name, "data")).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return frozenset(parameter.name for parameter in parameters)


def load(name: str, root: str | os.PathLike[str] | None, options: Options) -> Data:
    """Call the user's function and check the result.

    It gets the root and each option only if it has a parameter of that name. It returns a `Data`,
    a mapping with train, test, shape and classes (optional: validation, score, kind, label, mean,
    std), or the tuple (train, validation, test, shape, classes). `classes`: names or their number.
    """
    with current_folder_importable():  # the function may import from there as well
        made = _call(name, {"root": root, **asdict(options)})
    if isinstance(made, Data):
        return made
    fields = _fields(name, made)
    shape = _shape(name, fields["shape"])
    classes = _classes(name, fields["classes"])

    checked = partial(
        CheckedLoader, shape=shape, classes=len(classes), time_steps=options.time_steps
    )

    def wrap(role: str, kind: Kind | None) -> CheckedLoader:
        return checked(fields[role], f"{role} of {name}", kind=kind)

    kind = wrap("train", fields.get("kind")).first_kind()
    train, test = wrap("train", kind), wrap("test", kind)
    test.first_kind()
    given = [role for role in ("validation", "score") if fields.get(role) is not None]
    validation = wrap("validation", kind) if "validation" in given else CheckedLoader.empty()
    score = wrap("score", kind) if "score" in given else train
    info = DataInfo(
        name=name,
        label=str(fields.get("label") or name),
        classes=classes,
        shape=shape,
        mean=tuple(fields.get("mean") or (0.0,) * shape[0]),
        std=tuple(fields.get("std") or (1.0,) * shape[0]),
        kind=kind,
        source=name,
        scaling="as your loaders hand it out",
    )
    return Data(info, train, score, validation, test)


def _call(name: str, arguments: dict[str, Any]) -> Any:
    function, names = user_callable(name, "data"), taken(name)
    if names is None:
        return function(**arguments)
    parameters = inspect.signature(function).parameters.values()
    required = [p.name for p in parameters if p.default is p.empty and p.kind != p.VAR_POSITIONAL]
    unknown = sorted(set(required) - set(arguments))
    if unknown:
        raise ConfigError(
            f"data {name!r}: the function wants {', '.join(unknown)}, but can be given only "
            f"{', '.join(arguments)}; give the others a default"
        )
    return function(**{key: value for key, value in arguments.items() if key in names})


def _fields(name: str, made: Any) -> Mapping[str, Any]:
    if isinstance(made, tuple) and len(made) == len(_TUPLE):
        made = dict(zip(_TUPLE, made, strict=True))
    if not isinstance(made, Mapping):
        raise DataError(
            f"data {name!r}: expected a Data, a mapping, or the tuple ({', '.join(_TUPLE)}), "
            f"got {type(made).__name__}"
        )
    lacking = [field for field in _TUPLE if field != "validation" and made.get(field) is None]
    strange = sorted(set(made) - {*_TUPLE, *_OPTIONAL})
    if lacking or strange:
        raise DataError(
            f"data {name!r}: expected train, test, shape and classes, with "
            f"validation, {', '.join(_OPTIONAL)} as options; lacking: "
            f"{', '.join(lacking) or 'none'}; unknown: {', '.join(map(str, strange)) or 'none'}"
        )
    if made.get("kind") not in (None, "static", "events"):
        raise DataError(f"data {name!r}: kind is 'static' or 'events', got {made['kind']!r}")
    return made


def _shape(name: str, shape: Any) -> tuple[int, int, int]:
    sizes = tuple(shape) if isinstance(shape, Sequence) else ()
    if len(sizes) != 3 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise DataError(f"data {name!r}: expected the shape (C, H, W) of a sample, got {shape!r}")
    return sizes[0], sizes[1], sizes[2]


def _classes(name: str, classes: Any) -> tuple[str, ...]:
    if isinstance(classes, int):
        return tuple(str(label) for label in range(classes))
    if isinstance(classes, str) or not isinstance(classes, Sequence) or not classes:
        raise DataError(f"data {name!r}: expected class names or their number, got {classes!r}")
    return tuple(map(str, classes))
