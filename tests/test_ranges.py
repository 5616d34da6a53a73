"""Ranges of numbers: read from the types of a dataclass, and checked when it is made."""

import math
from dataclasses import dataclass, field
from typing import Annotated

import pytest

from spikeprune.errors import ConfigError
from spikeprune.lab.settings.config import RunConfig
from spikeprune.ranges import SHARE, Range, check_ranges, ranges

Count = Annotated[int, Range(1, 8)]


@dataclass(frozen=True)
class Inner:
    share: Annotated[float, SHARE] = 0.5


@dataclass(frozen=True)
class Outer:
    name: str = ""
    count: Count | None = None
    rate: Annotated[float, Range(0, open_low=True)] = 0.1
    inner: Inner = field(default_factory=Inner)


def test_ranges_are_found_by_dotted_name():
    assert list(ranges(Outer)) == ["count", "rate", "inner.share"]
    assert ranges(Outer)["count"] == Range(1, 8)


@pytest.mark.parametrize(
    ("valid", "inside", "outside", "words"),
    [
        (Range(1), [1, 2**62], [0, -1, math.nan, math.inf], "at least 1"),
        (Range(0, open_low=True), [5e-324, 1e308], [0, math.nan, math.inf], "above 0"),
        (Range(1, 4096), [1, 4096], [0, 4097, math.nan], "from 1 to 4,096"),
        (SHARE, [1e-300, 0.5], [0, 1, 1.0000001, -1, math.nan], "in (0, 1)"),
        (Range(0, 1, open_high=True), [0, 0.5], [1, math.nan], "in [0, 1)"),
        (Range(0, 1, open_low=True), [1, 0.5], [0, math.nan], "in (0, 1]"),
    ],
)
def test_what_lies_in_a_range(valid, inside, outside, words):
    assert all(value in valid for value in inside)
    assert not any(value in valid for value in outside)
    assert str(valid) == words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Outer(count=9), "expected of.count to be from 1 to 8, got 9"),
        (Outer(rate=math.nan), "expected of.rate to be above 0, got nan"),
        (Outer(inner=Inner(1.0)), r"expected of.inner.share to be in \(0, 1\), got 1.0"),
    ],
)
def test_a_number_out_of_its_range_is_refused(options, words):
    check_ranges(Outer())
    with pytest.raises(ConfigError, match=words):
        check_ranges(options, "of.")


def test_every_number_of_a_run_has_a_range():
    numbers = {name for name, hint in _leaves(RunConfig) if hint & {int, float}}
    assert numbers - {"within"} == set(ranges(RunConfig))  # shares by unit: `PruneOptions` checks


def _leaves(cls, prefix=""):
    from dataclasses import is_dataclass
    from typing import get_args, get_type_hints

    for name, hint in get_type_hints(cls).items():
        if is_dataclass(hint):
            yield from _leaves(hint, f"{prefix}{name}.")
        else:
            yield prefix + name, {hint, *get_args(hint)}
