"""Flags of the command line, made from the fields of `RunConfig` and their docstrings."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, cast, get_args, get_origin, get_type_hints

from docstring_parser import parse_from_object
from jsonargparse import SUPPRESS, ArgumentParser

from spikeprune.choices import choices, plain
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.two_budgets import as_one_budget
from spikeprune.lab.settings.yaml_values import describe
from spikeprune.ranges import Range, ranges

SECTIONS = {
    "Data": "data",
    "Net": "model",
    "Pruning": "method",
    "Parts of a method, instead of its own": "saliency",
    "Iterative magnitude pruning": "imp",
    "Criticality": "criticality",
    "Channels": "channels",
    "Training": "epochs",
    "Output and machine": "out",
}
"""Headings of the help, by the first field of `RunConfig` under each."""


@cache
def _docs(cls: type) -> dict[str, str]:
    parsed = parse_from_object(cls)
    return {p.arg_name: (p.description or "").replace("`", "") for p in parsed.params}


def _leaves(cls: type, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Yield the dotted name, plain type and help of every field that is no dataclass."""
    hints, docs, closed, within = get_type_hints(cls), _docs(cls), choices(cls), ranges(cls)
    for f in fields(cast(Any, cls)):
        if is_dataclass(hints[f.name]):
            yield from _leaves(cast(type, hints[f.name]), f"{prefix}{f.name}.")
        else:
            valid = closed.get(f.name, within.get(f.name, ()))
            text = _help(f, docs.get(f.name, ""), valid)
            yield prefix + f.name, plain(hints[f.name]), text


def _help(f: "Field[Any]", doc: str, valid: tuple[str, ...] | Range) -> str:
    text = " ".join(doc.split()).rstrip(".")
    notes = []
    if isinstance(valid, Range):
        notes.append(str(valid))
    elif not all(re.search(rf"\b{re.escape(one)}\b", text) for one in valid):
        notes.append(" | ".join(valid))
    default = f.default_factory() if f.default_factory is not MISSING else f.default
    if default is not MISSING and default not in (None, (), {}):
        notes.append(f"default: {str(default).lower() if isinstance(default, bool) else default}")
    if notes:
        text += f" ({'; '.join(notes)})"
    return text.replace("%", "%%")


def _parsed_type(hint: Any) -> Any:
    """Return the hint that jsonargparse parses by: lists for tuples, typed values for Any."""
    if get_origin(hint) is tuple:
        return list[get_args(hint)[0]]  # type: ignore[misc]
    if get_origin(hint) is dict:
        part = get_args(hint)[1]
        return dict[str, part if part is Any else _parsed_type(part)]  # type: ignore[misc]
    return hint


def _metavar(name: str, hint: Any) -> str:
    if name in {"data_root", "weights", "out"}:
        return "PATH"
    kind = get_origin(hint)
    if kind in (tuple, dict):
        return "[A,B]" if kind is tuple else "{K: V}"
    words = {int: "N", float: "X", bool: "BOOL"}
    kinds = get_args(hint) or (hint,)
    return next((words[one] for one in kinds if one in words), "NAME")


def add_flags(parser: ArgumentParser) -> None:
    """Add a flag per field, under headings. Flags not given leave nothing in the result."""
    titles = {first: title for title, first in SECTIONS.items()}
    group = parser.add_argument_group()
    for name, hint, text in _leaves(RunConfig):
        if name.split(".")[0] in titles:
            group = parser.add_argument_group(titles.pop(name.split(".")[0]))
        group.add_argument(
            f"--{name}",
            type=_parsed_type(hint),
            default=SUPPRESS,
            metavar=_metavar(name, hint),
            help=text,
        )


def flag_names() -> dict[str, Any]:
    """Return the type hint of every flag by dotted name."""
    return {name: hint for name, hint, _ in _leaves(RunConfig)}


def merge(recipe: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe with given values laid over it key by key; an empty mapping replaces.

    Another model does not take the arguments of the recipe's model.
    """
    merged, given = dict(recipe), as_one_budget(given)
    if given.get("model", recipe.get("model")) != recipe.get("model"):
        merged.pop("model_args", None)
    for name, value in given.items():
        old = merged.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping) and value
        merged[name] = merge(cast(Any, old), value) if both else value
    return merged


def explain(message: str, own: Mapping[str, Any] | None = None) -> str:
    """Return jsonargparse's message in our words; `own` are types of flags beside `RunConfig`'s."""
    message = message.strip()
    key = re.search(r'Parser key "([\w.]+)"', message)
    value = re.findall(r"(?:Got|Given) value: (.*)", message)
    names = {**(own or {}), **flag_names()}
    if key and value:
        name = next((n for n in names if key[1] == n or key[1].startswith(f"{n}.")), None)
        wanted = describe(names[name]) if name else "another value"
        return f"--{key[1]}: expected {wanted}, got {value[-1]!r}"
    unknown = re.search(r"[Uu]nrecognized arguments: (\S+)", message)
    if unknown and unknown[1].startswith("-"):
        flag = unknown[1].split("=")[0]
        near = difflib.get_close_matches(flag.lstrip("-"), names, n=3)
        hint = f"did you mean {' or '.join('--' + n for n in near)}?" if near else "see --help"
        return f"unknown option {flag}; {hint}"
    if unknown:
        return f"unexpected argument {unknown[1]!r}; options start with --, see --help"
    choice = re.search(r"argument COMMAND: invalid choice: (\S+) \(choose from (.*)\)", message)
    if choice:
        return f"unknown command {choice[1]}; expected one of: {choice[2]}".replace("'", "")
    required = re.search(r"arguments are required: \w+\.(\w+)", message)
    return f"{required[1].upper()} is missing; see --help" if required else message
