import math
import random
import statistics as standard

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeprune.lab.compare.numbers.statistics import (
    Paired,
    Summary,
    holm,
    mean_ratio,
    paired_interval,
    summarise,
)

numbers = st.lists(st.floats(-1, 1), min_size=2, max_size=20)


def test_a_hand_worked_interval():
    """Differences 1, 2, 3: mean 2, std 1, t(2, 0.975) = 4.302653; t = 2 sqrt(3)."""
    found = paired_interval([1.0, 2.0, 3.0])
    half = 4.302652729911275 / math.sqrt(3)
    assert (found.n, found.mean, found.std) == (3, 2.0, 1.0)
    assert found.low == pytest.approx(2 - half)
    assert found.high == pytest.approx(2 + half)
    # Student's t with two degrees of freedom has the closed form 1 - t / sqrt(t^2 + 2)
    t = 2 * math.sqrt(3)
    assert found.p == pytest.approx(1 - t / math.sqrt(t * t + 2))


def test_one_degree_of_freedom_is_cauchy():
    found = paired_interval([0.0, 2.0], level=0.5)
    assert found.low == pytest.approx(0.0, abs=1e-9)  # tan(pi/4) = 1
    assert found.high == pytest.approx(2.0)
    assert found.p == pytest.approx(0.5)


def test_three_pairs_give_about_two_and_a_half_standard_deviations():
    found = paired_interval([-1.0, 0.0, 1.0])
    assert found.high == pytest.approx(2.484, abs=1e-3)
    assert found.p == pytest.approx(1.0)


@pytest.mark.parametrize("values", [[], [0.3], [0.2, 0.2, 0.2], [0.0, 0.0], [0.1 + 0.2, 0.3]])
def test_no_interval_where_the_spread_is_unknown(values):
    found = paired_interval(values)
    assert (found.low, found.high, found.p) == (None, None, None)
    assert found.n == len(values)
    assert found.mean == (pytest.approx(values[0]) if values else None)


@pytest.mark.parametrize("level", [0, 1, -1, 1.5])
def test_levels_that_are_none(level):
    with pytest.raises(ValueError, match="level"):
        paired_interval([1.0, 2.0], level)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    dice = random.Random(0)
    hits = 0
    for _ in range(1000):
        found = paired_interval([dice.gauss(0.5, 2.0) for _ in range(4)])
        hits += found.low <= 0.5 <= found.high
    assert 0.93 <= hits / 1000 <= 0.97


@given(numbers)
def test_summary_agrees_with_the_standard_library(values):
    found = summarise(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(standard.fmean(values), abs=1e-12)
    assert found.std == pytest.approx(standard.stdev(values), abs=1e-12)


def test_summary_of_few():
    assert summarise([]) == Summary(0, None, None)
    assert summarise([0.25]) == Summary(1, 0.25, None)
    assert paired_interval([]) == Paired(0, None, None)


@given(numbers)
def test_swapping_the_two_sides_changes_signs_only(values):
    one, other = paired_interval(values), paired_interval([-value for value in values])
    assert one.p == other.p
    if one.low is not None:
        assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))


def test_holm_by_hand():
    """Sorted 0.01, 0.03, 0.04 times 3, 2, 1 gives 0.03, 0.06, and 0.04 raised to 0.06."""
    assert holm([0.04, 0.01, 0.03]) == [pytest.approx(x) for x in (0.06, 0.03, 0.06)]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_is_monotone_and_no_smaller_than_what_it_corrects(values):
    corrected = holm(values)
    assert all(p <= c <= 1 for p, c in zip(values, corrected, strict=True))
    pairs = sorted(zip(values, corrected, strict=True))
    assert [c for _, c in pairs] == sorted(corrected)
    if values:
        assert min(corrected) == pytest.approx(min(1, len(values) * min(values)))


def test_the_mean_ratio_is_that_of_the_pairs():
    assert mean_ratio([(1.0, 2.0), (30.0, 10.0)]) == 1.75
    assert mean_ratio([(0.0, 2.0)]) == 0.0
    for unknown in ([], [(1.0, None)], [(None, 1.0)], [(1.0, 0.0)], [(1.0, 2.0), (1.0, None)]):
        assert mean_ratio(unknown) is None
