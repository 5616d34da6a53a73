"""Closed lists of values: read from the types of a dataclass, and checked when it is made."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_type_hints

import pytest

from spikeprune.choices import OneOf, check_choices, choices, plain
from spikeprune.errors import ConfigError

COLOURS = {"red": 1, "blue": 2}
Size = Literal["small", "large"]
Colour = Annotated[str, OneOf(lambda: COLOURS)]


@dataclass(frozen=True)
class Inner:
    size: Size = "small"
    count: int = 1


@dataclass(frozen=True)
class Outer:
    name: str
    size: Size | None = None
    colours: tuple[Colour, ...] = ()
    inner: Inner = field(default_factory=Inner)
    free: dict[str, Any] = field(default_factory=dict)


def test_lists_are_found_by_dotted_name():
    assert choices(Outer) == {
        "size": ("small", "large"),
        "colours": ("red", "blue"),
        "inner.size": ("small", "large"),
    }
    assert choices(Inner) == {"size": ("small", "large")}


def test_a_registry_may_grow(monkeypatch):
    with pytest.raises(ConfigError, match=r"unknown colours 'green'; expected one of: blue, red$"):
        check_choices(Outer("x", colours=("green",)))
    monkeypatch.setitem(COLOURS, "green", 3)
    assert choices(Outer)["colours"] == ("red", "blue", "green")
    check_choices(Outer("x", colours=("green",)))


def test_valid_values_none_and_empty_tuples_pass():
    check_choices(Outer("x"))
    check_choices(Outer("x", size="large", colours=("red", "blue", "red"), free={"size": "any"}))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Outer("x", size="huge"), "^unknown p.size 'huge'; expected one of: large, small$"),
        (Outer("x", colours=("red", "grey")), "^unknown p.colours 'grey'; expected"),
        (Outer("x", inner=Inner(size="")), "^unknown p.inner.size ''; expected"),
    ],
)
def test_a_value_outside_its_list_is_named(value, message):
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        check_choices(value, "p.")


def test_a_plain_type_takes_any_text_where_a_list_was():
    hints = {name: plain(hint) for name, hint in get_type_hints(Outer).items()}
    assert hints == {
        "name": str,
        "size": str | None,
        "colours": tuple[str, ...],
        "inner": Inner,
        "free": dict[str, Any],
    }
    assert plain(tuple[Size, int]) == tuple[str, int]
    assert plain(dict[str, tuple[float, float]]) == dict[str, tuple[float, float]]
