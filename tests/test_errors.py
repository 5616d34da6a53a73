"""Errors: what users see, and what a caller can catch."""

import pytest

from spikeprune import errors
from spikeprune.errors import (
    ConfigError,
    SpikePruneError,
    missing_extra,
    one_line,
    require_one_of,
    unknown_name,
)


@pytest.mark.parametrize(
    ("name", "standard"),
    [
        ("ConfigError", ValueError),
        ("BudgetError", ConfigError),
        ("ModelError", ValueError),
        ("ObservationError", RuntimeError),
        ("DataError", ValueError),
        ("RunError", RuntimeError),
        ("BusyError", errors.RunError),
    ],
)
def test_every_error_is_ours_and_a_standard_one(name, standard):
    error = getattr(errors, name)
    assert issubclass(error, SpikePruneError)
    assert issubclass(error, standard)


def test_an_unknown_name_lists_the_valid_ones_in_order():
    error = unknown_name("colour", "pink", {"red", "blue", "green"})
    assert type(error) is ConfigError
    assert str(error) == "unknown colour 'pink'; expected one of: blue, green, red"


def test_require_one_of_lets_valid_names_pass():
    require_one_of("colour", "red", ("red", "blue"))
    with pytest.raises(ConfigError, match="unknown colour 'pink'; expected one of: blue, red"):
        require_one_of("colour", "pink", ("red", "blue"))


def test_a_missing_package_names_its_extra():
    assert str(missing_extra("numba", "eventdriven", "the event-driven runtime")) == (
        "the event-driven runtime needs the package 'numba', which is not installed; "
        "install it with: pip install 'spikeprune[eventdriven]'"
    )


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("first\nsecond"), "ValueError: first"),
        (KeyError("key"), "KeyError: 'key'"),
        (RuntimeError("\n  indented\n"), "RuntimeError: indented"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_foreign_errors_become_one_line(error, line):
    assert one_line(error) == line
