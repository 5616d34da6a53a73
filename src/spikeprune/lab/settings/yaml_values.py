"""Plain values to frozen dataclasses and back: strict about keys and types, with clear errors."""

import json
import re
import types
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import yaml

from spikeprune import limits
from spikeprune.choices import plain
from spikeprune.errors import ConfigError, shown, unknown_name

T = TypeVar("T")


_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
}


_BITS = 63  # beside the sign
_LONGEST = 4096  # characters; no path is longer


def describe(hint: Any) -> str:
    """Return in words what values a type hint of a configuration field takes."""
    if _is_union(hint):
        return " or ".join(describe(part) for part in get_args(hint))
    if hint in _WORDS:
        return _WORDS[hint]
    if get_origin(hint) is tuple:
        _, more = get_args(hint)
        return "[lowest, highest]" if more is float else "a list such as [a, b]"
    if get_origin(hint) is dict:
        part = get_args(hint)[1]
        kind = "value" if part is Any else describe(part)
        return f"a mapping such as {{name: {kind}}}"
    return "a mapping of its fields" if is_dataclass(hint) else "any value"


def build(cls: type[T], values: Any, where: str = "") -> T:
    """Make a dataclass from nested plain values, which messages call by the dotted name `where`."""
    if not isinstance(values, dict):
        raise ConfigError(
            f"expected a mapping for {where or 'the configuration'}, got {shown(values)}"
        )
    prefix = f"{where}." if where else ""
    hints = {name: plain(hint) for name, hint in get_type_hints(cls).items()}
    known = fields(cast(Any, cls))
    names = [f.name for f in known]
    for name in values:
        if name not in names:
            raise unknown_name("field", f"{prefix}{name}", (prefix + n for n in names))
    for f in known:
        if f.default is MISSING and f.default_factory is MISSING and f.name not in values:
            raise ConfigError(f"{prefix}{f.name} is missing and has no default; give it a value")
    given = {name: _convert(hints[name], v, prefix + name) for name, v in values.items()}
    return cls(**given)


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _convert(hint: Any, value: Any, where: str) -> Any:
    if _is_union(hint):
        if value is None:
            return None
        hint = next(part for part in get_args(hint) if part is not type(None))
    if hint is Any:
        return _as_json(value, where)
    if is_dataclass(hint):
        return build(cast(type, hint), value, where)
    if get_origin(hint) is tuple:
        return _tuple(hint, value, where)
    if get_origin(hint) is dict and isinstance(value, dict):
        part = get_args(hint)[1]
        return {str(name): _convert(part, v, f"{where}.{name}") for name, v in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(_printable(value, where))
    if isinstance(hint, type) and type(value) is hint:
        return _printable(value, where)
    raise ConfigError(f"{where}: expected {describe(hint)}, got {shown(value)}")


def _as_json(value: Any, where: str) -> Any:
    """Return a value of any kind as JSON keeps it; refuse dates, bytes and the like."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{where}: expected numbers, text, lists and mappings of them, got {shown(value)}"
        ) from error


def _printable(value: Any, where: str) -> Any:
    """Refuse numbers that no library takes, and texts that no file or terminal shows."""
    if isinstance(value, int) and value.bit_length() > _BITS:
        raise ConfigError(f"{where}: expected a number of 64 bits, got {value.bit_length()}")
    if isinstance(value, str) and not (value.isprintable() and len(value) <= _LONGEST):
        raise ConfigError(
            f"{where}: expected one line of printable text, {_LONGEST} characters at most, got "
            f"{shown(value)}"
        )
    return value


def _tuple(hint: Any, value: Any, where: str) -> tuple[Any, ...]:
    parts = get_args(hint)
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where}: expected {describe(hint)}, got {shown(value)}")
    if parts[1] is ...:
        parts = parts[:1] * len(value)
    if len(parts) != len(value):
        raise ConfigError(f"{where}: expected {len(parts)} values, got {shown(value)}")
    return tuple(_convert(p, v, where) for p, v in zip(parts, value, strict=True))


@cache
def _with_numbers(base: Any) -> Any:
    # YAML 1.1, which PyYAML follows, takes 1e-4 for text; people mean the number. The dumper must
    # know as well, so that the text "1e-4" is quoted.
    extended: Any = type(base.__name__, (base,), {})
    number = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
    extended.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return extended


class _Loader(yaml.SafeLoader):
    """Stops at nesting that is too deep, for which the scanner takes quadratic time."""

    _levels = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._levels += 1
        if self._levels > limits.NESTING + 1:  # the last may be a scalar
            raise RecursionError
        node = super().compose_node(parent, index)
        self._levels -= 1
        return node


def parse_yaml(text: str, source: str) -> dict[str, Any]:
    """Return the mapping in a YAML text from `source`; an empty text is an empty mapping."""
    try:
        loader = _with_numbers(_Loader)(text)
        node = loader.get_single_node()
        if node is None:
            return {}
        _refuse_large(node, source)
        values = loader.construct_document(node)
    except ConfigError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # impossible dates and numbers
        raise ConfigError(f"{source} is not valid YAML: {error}") from error
    except RecursionError as error:
        raise _too_deep(source) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: expected a mapping of fields to values, got {shown(values)}")
    return values


def _refuse_large(root: yaml.Node, source: str) -> None:
    """Refuse a text whose aliases stand for too much, before any value is made of it."""
    values, levels = _extent(root, {}, source)
    if levels > limits.NESTING:
        raise _too_deep(source)
    what = f"the values of {source}, those of each alias counted"
    limits.require_at_most(values, limits.YAML_VALUES, what, error=ConfigError)


def _extent(
    node: yaml.Node, known: dict[int, tuple[int, int] | None], source: str
) -> tuple[int, int]:
    """Return the number of values of a node with aliases written out, and its levels."""
    if isinstance(node, yaml.ScalarNode):
        return 1, 0
    if id(node) not in known:
        known[id(node)] = None  # while its children are looked at
        nested = isinstance(node, yaml.MappingNode)
        parts = [part for pair in node.value for part in pair] if nested else node.value
        extents = [_extent(part, known, source) for part in parts]
        deepest = max((levels for _, levels in extents), default=0)
        known[id(node)] = 1 + sum(values for values, _ in extents), 1 + deepest
    found = known[id(node)]
    if found is None:
        raise ConfigError(f"{source} is not valid YAML: an alias stands for what it is a part of")
    return found


def _too_deep(source: str) -> ConfigError:
    return ConfigError(f"{source} is nested deeper than {limits.NESTING} levels")


def dump_yaml(values: dict[str, Any]) -> str:
    """Return plain values as YAML, in their order."""
    dumper = _with_numbers(yaml.SafeDumper)
    text: str = yaml.dump(values, Dumper=dumper, sort_keys=False, allow_unicode=True)
    return text
