"""Plain values to dataclasses and back, strict about keys and types."""

import re
from dataclasses import dataclass
from typing import Literal

import pytest

from spikeprune.errors import ConfigError
from spikeprune.lab.settings.yaml_values import build, describe, dump_yaml, parse_yaml


@dataclass(frozen=True)
class Inner:
    x: float = 1.0


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = Inner()
    maybe: int | None = None
    pairs: tuple[tuple[float, float], ...] = ()
    kind: Literal["a", "b"] = "a"


def test_build_converts_what_is_safe_only():
    assert build(Outer, {"name": "a", "inner": {"x": 2}}).inner.x == 2.0
    assert build(Outer, {"name": "a", "maybe": None}).maybe is None
    assert build(Outer, {"name": "a", "pairs": [[0, 1]]}).pairs == ((0.0, 1.0),)
    for bad in ({"name": 3}, {"name": None}, {"name": "a", "maybe": 1.5}, "a", None):
        with pytest.raises(ConfigError):
            build(Outer, bad)


def test_a_closed_list_takes_any_text():
    # Which texts are valid is checked by `choices.check_choices`, with a message of its own.
    assert build(Outer, {"name": "a", "kind": "c"}).kind == "c"
    with pytest.raises(ConfigError, match="kind: expected text, got 3"):
        build(Outer, {"name": "a", "kind": 3})


def test_unknown_and_missing_fields_are_named_with_their_place():
    with pytest.raises(ConfigError, match=r"unknown field 'inner\.y'; expected one of: inner\.x$"):
        build(Outer, {"name": "a", "inner": {"y": 1}})
    with pytest.raises(ConfigError, match=r"part\.name is missing and has no default"):
        build(Outer, {}, "part")


def test_yaml_reads_numbers_as_people_write_them():
    values = parse_yaml("a: 1e-4\nb: 2.5E+3\nc: 1.e2\nd: .5e1\ne: none\nf: e1\n", "here")
    assert values == {"a": 1e-4, "b": 2500.0, "c": 100.0, "d": 5.0, "e": "none", "f": "e1"}


def test_yaml_round_trip_keeps_order_and_small_numbers():
    values = {"b": 1e-05, "a": ["x", None, True], "c": {"ü": "1e-4"}}
    assert parse_yaml(dump_yaml(values), "here") == values
    assert list(parse_yaml(dump_yaml(values), "here")) == ["b", "a", "c"]


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2", "just text"])
def test_yaml_that_is_no_mapping_is_refused_by_source(text):
    with pytest.raises(ConfigError, match="here"):
        parse_yaml(text, "here")


def test_an_empty_yaml_is_an_empty_mapping():
    assert parse_yaml("# nothing\n", "here") == {}


def test_yaml_makes_no_objects():
    with pytest.raises(ConfigError):
        parse_yaml("a: !!python/object/apply:os.getcwd []", "here")


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (float | None, "a number or null"),
        (tuple[str, ...], "a list"),
        (tuple[float, float], r"\[lowest, highest\]"),
        (dict[str, int], "mapping"),
        (Inner, "mapping"),
    ],
)
def test_types_in_words(hint, words):
    assert re.search(words, describe(hint))
