"""Options with a closed list of values: the type of a dataclass's field is that list.

It is `Literal["a", "b"]`, or `Annotated[str, OneOf(names)]` for a registry, which may grow.
"""

import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass, is_dataclass
from functools import cache, reduce
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from spikeprune.errors import unknown_name

T = TypeVar("T")


@dataclass(frozen=True)
class OneOf:
    """Annotation of a text field: `names()` lists its valid values whenever it is called."""

    names: Callable[[], Iterable[str]]


def choices(cls: type) -> dict[str, tuple[str, ...]]:
    """Return the valid values of every closed field by dotted name, nested dataclasses included."""
    return by_field(cls, _values)


def by_field(cls: type, find: Callable[[Any], T | None]) -> dict[str, T]:
    """Return what `find` gives for the type of a field, by dotted name, where it gives anything.

    The fields of nested dataclasses are included.
    """
    found: dict[str, T] = {}
    for name, hint in _hints(cls).items():
        if is_dataclass(hint):
            nested = by_field(cast(type, hint), find)
            found |= {f"{name}.{part}": value for part, value in nested.items()}
        elif value := find(hint):
            found[name] = value
    return found


def check_choices(options: object, prefix: str = "") -> None:
    """Refuse a dataclass with a value outside its closed list; None and empty tuples pass.

    `prefix` stands before the field names in the message, such as `criticality.`.
    """
    for name, valid in choices(type(options)).items():
        value: Any = reduce(getattr, name.split("."), options)
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None and one not in valid:
                raise unknown_name(f"{prefix}{name}", one, valid)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _values(hint: Any) -> tuple[str, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    if get_origin(hint) is Annotated:
        lists = (note for note in hint.__metadata__ if isinstance(note, OneOf))
        return tuple(name for one in lists for name in one.names())
    return tuple(value for part in get_args(hint) for value in _values(part))


def plain(hint: Any) -> Any:
    """Return a type with `str` in place of every `Literal`: values are checked elsewhere."""
    if get_origin(hint) is Literal:
        return str
    parts = tuple(part if part is ... else plain(part) for part in get_args(hint))
    if not parts:
        return hint
    union = get_origin(hint) in (Union, types.UnionType)
    return Union[parts] if union else get_origin(hint)[parts]  # noqa: UP007
