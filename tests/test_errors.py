"""Errors: what users see, and what a caller can catch."""

import errno

import pytest
import torch

from spikeprune import errors
from spikeprune.errors import (
    ConfigError,
    SpikePruneError,
    missing_extra,
    of_system,
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


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b.json"),
            ["a/b.json: No space", "fre"],
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", b"x"),
            ["x: Permission denied", "read"],
        ),
        (OSError(errno.EXDEV, "Cross-device link", "a", None, "b"), ["a and b: Cross-", "mend"]),
        (OSError("a library says so"), ["the system: a library says so"]),
        (TimeoutError(), ["the system: TimeoutError"]),
        (MemoryError(), ["not enough memory", "--batch_size"]),
        (MemoryError("Unable to allocate 8 TiB"), ["not enough memory (Unable to allocate 8 TiB)"]),
    ],
)
def test_errors_of_the_system_have_one_line_and_a_way_out(error, words):
    text = of_system(error)
    assert "\n" not in text
    assert all(word in text for word in words), text


def test_torch_s_own_errors_of_memory_are_known():
    for shape in ((2**62,), (2**40, 2**40)):
        with pytest.raises(RuntimeError) as error:
            torch.empty(shape)
        assert "not enough memory" in of_system(error.value)
    assert of_system(RuntimeError("sizes differ")) is None
