"""Interleaved timing: every alternative in turn, medians, ratios of one run; goals beside them."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Goal", "Row", "at_most", "compare", "faster"]


@dataclass(frozen=True)
class Goal:
    """What a line must reach.

    `speed-up` is the alternative over ours, at least so much; `share` is ours over the
    alternative, at most so much.
    """

    kind: str
    least: float
    reach: float


def faster(least: float, reach: float) -> Goal:
    """Return the goal of being so many times faster (or smaller)."""
    return Goal("speed-up", least, reach)


def at_most(least: float, reach: float) -> Goal:
    """Return the goal of costing at most this share of the alternative."""
    return Goal("share", least, reach)


@dataclass(frozen=True)
class Row:
    """One line of the table: our median cost against the alternative's, in `unit`."""

    benchmark: str
    ours: str
    ours_cost: float
    against: str
    against_cost: float
    goal: Goal | None = None
    unit: str = "ms"
    note: str = ""

    @property
    def ratio(self) -> float:
        """Ours over the alternative; below 1 is faster or smaller."""
        return self.ours_cost / self.against_cost

    @property
    def measured(self) -> float:
        """The ratio in the form of the goal."""
        speed_up = self.goal is not None and self.goal.kind == "speed-up"
        return 1 / self.ratio if speed_up else self.ratio

    @property
    def verdict(self) -> str:
        """Return `reached`, `at least`, `short`, or nothing where there is no goal."""
        if self.goal is None:
            return ""
        sign = 1 if self.goal.kind == "speed-up" else -1
        if sign * self.measured >= sign * self.goal.reach:
            return "reached"
        return "at least" if sign * self.measured >= sign * self.goal.least else "short"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, derived ones included."""
        return asdict(self) | {
            "ratio": self.ratio,
            "measured": self.measured,
            "verdict": self.verdict,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Row":
        """Undo `to_dict`."""
        own = {name: values[name] for name in cls.__dataclass_fields__}
        return cls(**own | {"goal": None if own["goal"] is None else Goal(**own["goal"])})


def compare(
    runs: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    wait: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Return the median milliseconds of each run, taken in turn `rounds` times after a warm-up.

    `wait` blocks until a device has done what it was given.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
        wait()
    for _ in range(rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            wait()
            seconds[name].append(time.perf_counter() - started)
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}
