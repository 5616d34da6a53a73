"""Numbers in words; a number that is absent becomes `not measured`."""

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

MISSING = "not measured"
_GAP = "\u00a0"  # keeps a number and its unit on one line
_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def some(names: Sequence[str], most: int = 3) -> str:
    """Join names; after `most` of them say how many more there are: `a, b, c and 22 more`."""
    listed = ", ".join(names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"


def budget_name(budget: str) -> str:
    """Return the name of a budget in its usual spelling: `synops` -> `SynOps`."""
    return {"macs": "MACs", "synops": "SynOps"}.get(budget, budget)


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value is a finite number; a bool is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def amount(value: Any, unit: str = "") -> str:
    """Return a count with three significant digits and an SI prefix: `1234567` -> `1.23 M`."""
    if not is_number(value):
        return MISSING
    tail = f"{_GAP}{unit}" if unit else ""
    for scale, prefix in _PREFIXES:
        if abs(value) >= 0.9995 * scale:
            return f"{_three(value / scale)}{_GAP}{prefix}{tail}"
    return f"{value if isinstance(value, int) else _three(value)}{tail}"


def energy(nanojoule: Any) -> str:
    """Return an energy in nJ, µJ or mJ."""
    if not is_number(nanojoule):
        return MISSING
    for scale, unit in ((1e6, "mJ"), (1e3, "µJ")):
        if abs(nanojoule) >= 0.9995 * scale:
            return f"{_three(nanojoule / scale)}{_GAP}{unit}"
    return f"{_three(nanojoule)}{_GAP}nJ"


def percent(value: Any, digits: int = 2) -> str:
    """Return a fraction in [0, 1] in per cent."""
    return f"{100 * value:.{digits}f}{_GAP}%" if is_number(value) else MISSING


def in_percent(value: Any) -> float | None:
    """Return a fraction in per cent as a number for a figure; None if it is absent."""
    return round(100 * value, 4) if is_number(value) else None


def points(value: Any) -> str:
    """Return a difference of two fractions in percentage points, with its sign."""
    if not is_number(value):
        return MISSING
    rounded = round(100 * value, 2)
    sign = "+" if rounded > 0 else "−" if rounded < 0 else "±"
    return f"{sign}{abs(rounded):.2f}{_GAP}points"


def change(before: Any, after: Any, more: str = "more", fewer: str = "fewer") -> str:
    """Return in words how a positive amount changed: `10.0× fewer`, `31 % more`, `unchanged`."""
    if not is_number(before) or not is_number(after):
        return MISSING
    if before == after:
        return "unchanged"
    word = more if after > before else fewer
    low, high = sorted((before, after))
    if low <= 0:
        return f"all {fewer}" if after <= 0 else f"{more} (from none)"
    if high / low >= 2:
        return f"{_three(high / low)}× {word}"
    share = 100 * abs(after - before) / before
    return f"{_three(share)}{_GAP}% {word}" if share >= 0.1 else f"under 0.1 % {word}"


def duration(seconds: Any) -> str:
    """Return seconds as `3 h 12 min`, `4 min 05 s` or `5.1 s`."""
    if not is_number(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f}{_GAP}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    if hours:
        return f"{hours}{_GAP}h{_GAP}{left:02d}{_GAP}min"
    return f"{minutes}{_GAP}min{_GAP}{rest:02d}{_GAP}s"


def size(count: Any) -> str:
    """Return bytes in binary units."""
    if not is_number(count):
        return MISSING
    value, units = float(count), ["B", "KiB", "MiB", "GiB"]
    while value >= 1024 and len(units) > 1:
        value, _ = value / 1024, units.pop(0)
    return f"{_three(value)}{_GAP}{units[0]}"


def _three(value: float) -> str:
    rounded = float(f"{value:.2e}")  # first, or 999.9 would be written 1000.
    if rounded == 0 or abs(rounded) >= 1000:
        return f"{rounded:,.0f}"
    digits = 2 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:.{min(digits, 6)}f}"
