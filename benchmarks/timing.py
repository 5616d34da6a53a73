"""Interleaved timing: every alternative in turn, medians, ratios of one run."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Row", "compare"]


@dataclass(frozen=True)
class Row:
    """One line of the table: our median against the alternative's, in milliseconds."""

    benchmark: str
    ours: str
    ours_ms: float
    against: str
    against_ms: float

    @property
    def ratio(self) -> float:
        """Ours over the alternative; below 1 is faster."""
        return self.ours_ms / self.against_ms


def compare(runs: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each run, taken in turn `rounds` times after a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}
