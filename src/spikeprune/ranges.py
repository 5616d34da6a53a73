"""Numbers with a range: the type of a dataclass's field says it, as `Annotated[int, Range(1)]`."""

import math
from dataclasses import dataclass
from functools import cache, reduce
from typing import Annotated, Any, get_args, get_origin

from spikeprune.choices import by_field
from spikeprune.errors import ConfigError


@dataclass(frozen=True)
class Range:
    """Annotation of a number: finite, from `low` to `high`; ends that do not count are `open`."""

    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below and (isinstance(value, int) or math.isfinite(value))

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"{'above' if self.open_low else 'at least'} {self.low:g}"
        if not (self.open_low or self.open_high):
            return f"from {self.low:,.0f} to {self.high:,.0f}"
        left, right = "[("[self.open_low], "])"[self.open_high]
        return f"in {left}{self.low:g}, {self.high:g}{right}"


SHARE = Range(0, 1, open_low=True, open_high=True)
"""A share that is neither nothing nor all."""


@cache
def ranges(cls: type) -> dict[str, Range]:
    """Return the range of every field that has one by dotted name, nested dataclasses included."""
    return by_field(cls, _range)


def check_ranges(options: object, prefix: str = "") -> None:
    """Refuse a dataclass with a number out of its range; None passes.

    `prefix` stands before the field names in the message, such as `criticality.`.
    """
    cls: type = type(options)
    for name, valid in ranges(cls).items():
        value: Any = reduce(getattr, name.split("."), options)
        if value is not None and value not in valid:
            raise ConfigError(f"expected {prefix}{name} to be {valid}, got {value}")


def _range(hint: Any) -> Range | None:
    if get_origin(hint) is Annotated:
        return next((note for note in hint.__metadata__ if isinstance(note, Range)), None)
    return next(filter(None, map(_range, get_args(hint))), None)
