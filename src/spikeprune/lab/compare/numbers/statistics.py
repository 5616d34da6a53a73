"""Mean and spread, paired differences with t-intervals, Holm's correction.

Pure functions of numbers. Seeds are paired (method, section 5): at one seed two methods share data,
initial weights and the order of batches, so their difference varies less than each accuracy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

LEVEL = 0.95  # confidence level of the intervals


@dataclass(frozen=True)
class Summary:
    """Mean and spread of n values."""

    n: int
    mean: float | None  # None without values
    std: float | None  # sample standard deviation (denominator n - 1); None for n < 2

    @property
    def in_percent(self) -> "Summary":
        """The summary of fractions in per cent."""
        mean = None if self.mean is None else 100 * self.mean
        return Summary(self.n, mean, None if self.std is None else 100 * self.std)


@dataclass(frozen=True)
class Paired:
    """A mean difference of n pairs, in the unit of the values."""

    n: int
    mean: float | None  # None without pairs
    std: float | None  # sample standard deviation of the differences; None for n < 2
    low: float | None = None  # lower end of the interval; None without an interval
    high: float | None = None
    p: float | None = None  # two-sided p-value of the paired t-test of a mean of 0


def summarise(values: Sequence[float]) -> Summary:
    """Return mean and sample standard deviation of finite values."""
    n = len(values)
    if n == 0:
        return Summary(0, None, None)
    mean = math.fsum(values) / n
    if n == 1:
        return Summary(1, mean, None)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return Summary(n, mean, math.sqrt(squares / (n - 1)))


def mean_ratio(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    """Return the mean over the seeds of a / b at the same seed.

    All ratios of costs over several seeds are of this kind: it is paired, as differences are, and
    every seed counts alike, while in a ratio of means the seeds with high costs count more.

    Returns:
        The mean; None without pairs, or where a value is missing or b is 0.
    """
    ratios = [a / b for a, b in pairs if a is not None and b]
    return math.fsum(ratios) / len(ratios) if ratios and len(ratios) == len(pairs) else None


def paired_interval(differences: Sequence[float], level: float = LEVEL) -> Paired:
    """Return the mean of paired differences with its t-interval and p-value.

    The interval is `mean ± t(n - 1, (1 + level) / 2) · std / sqrt(n)` (Student 1908). It assumes
    about normal differences. For n < 2, or if all differences are equal, their spread is unknown:
    the result has neither interval nor p-value.
    """
    from scipy import stats  # half a second that most commands do not need

    if not 0 < level < 1:
        raise ValueError(f"expected a level in (0, 1), got {level}")
    found = summarise(differences)
    n, mean, std = found.n, found.mean, found.std
    if mean is None or not std or std <= 1e-12 * abs(mean):  # equal up to rounding
        return Paired(n, mean, std)
    error = std / math.sqrt(n)
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, n - 1))
    return Paired(n, mean, std, mean - half, mean + half, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for multiple comparisons (Holm 1979), in their order.

    The i-th smallest of m is multiplied by m - i + 1, made monotone and capped at 1. Comparing the
    results with a level keeps the chance of one or more false findings in the family below it.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    scaled = [min(1.0, (len(order) - rank) * p_values[i]) for rank, i in enumerate(order)]
    corrected = dict(zip(order, accumulate(scaled, max), strict=True))
    return [corrected[index] for index in range(len(p_values))]
