"""Plain values to dataclasses and back, strict about keys and types."""

import re
import tracemalloc
from dataclasses import dataclass
from typing import Literal

import pytest

from spikeprune import limits
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


def laughs(levels, ways=9):
    """Return a text of `levels` lists, each of `ways` aliases of the one before."""
    rows = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * ways)}]" for n in range(1, levels)]
    return "\n".join(["l0: &l0 [x]", *rows])


MERGED = "\n".join(
    ["m0: &m0 {a: 1}"]
    + [f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}, *m{n - 1}]}}" for n in range(1, 30)]
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (laughs(40), "values of mine, those of each alias counted: expected at most 100,000, got"),
        (MERGED, "values of mine, those of each alias counted: expected at most 100,000, got"),
        ("a: &a [*a]", "an alias stands for what it is a part of"),
        ("a: &a {b: {c: *a}}", "an alias stands for what it is a part of"),
        ("a: " + "[" * 65 + "]" * 65, "mine is nested deeper than 64 levels"),
        ("- " * 20_000, "mine is nested deeper than 64 levels"),
        ("a: " + "[" * 20_000, "mine is nested deeper than 64 levels"),
        ("a: " + "9" * 5000, "mine is not valid YAML: Exceeds the limit"),
        ("a: 2026-99-99", "mine is not valid YAML: month must be"),
        ("a: \0", "mine is not valid YAML: unacceptable character"),
    ],
)
def test_texts_that_stand_for_too_much_are_refused_at_once(text, message):
    tracemalloc.start()
    with pytest.raises(ConfigError, match=message):
        parse_yaml(text, "mine")
    assert tracemalloc.get_traced_memory()[1] < 32 * limits.MIB
    tracemalloc.stop()


def test_aliases_of_a_usual_number_are_values(monkeypatch):
    assert parse_yaml(laughs(3, 2), "mine")["l2"] == [[["x"], ["x"]]] * 2
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}", "mine")["b"] == {"x": 1, "y": 2}
    monkeypatch.setattr(limits, "YAML_VALUES", 100)
    wide = "a: [" + "0, " * (limits.YAML_VALUES - 3) + "]"
    assert len(parse_yaml(wide, "mine")["a"]) == limits.YAML_VALUES - 3
    with pytest.raises(ConfigError, match="at most 100, got 101"):
        parse_yaml(wide.replace("[", "[0, "), "mine")


def test_a_long_value_is_cut_short_in_a_message():
    with pytest.raises(ConfigError, match="name: expected text") as caught:
        build(Outer, {"name": list(range(100_000))})
    assert len(str(caught.value)) < 200
