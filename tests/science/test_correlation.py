import math

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spikeprune.errors import DataError
from spikeprune.science.correlation import average_ranks, partial_spearman, spearman

# Few different values, so that there are ties.
COLUMNS = st.integers(4, 12).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 5), min_size=n, max_size=n)] * 3)
)


def tensors(columns):
    return [torch.tensor(column, dtype=torch.float64) for column in columns]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_ranks_by_hand(dtype):
    ranks = average_ranks(torch.tensor([7, 3, 7, 1], dtype=dtype))
    assert ranks.tolist() == [3.5, 2.0, 3.5, 1.0]
    assert average_ranks(torch.empty(0)).tolist() == []


@given(COLUMNS)
def test_against_scipy(columns):
    x, y, _ = tensors(columns)
    assert average_ranks(x).tolist() == stats.rankdata(columns[0]).tolist()
    if len(set(columns[0])) > 1 and len(set(columns[1])) > 1:
        expected = stats.spearmanr(columns[0], columns[1]).statistic
        assert spearman(x, y) == pytest.approx(expected, abs=1e-12)
        assert spearman(x, -y.exp()) == pytest.approx(-expected, abs=1e-12)  # only order counts
    else:
        assert math.isnan(spearman(x, y))


def residual(values, given):
    """What the best line in `given` leaves of `values`, both as ranks."""
    ranks, base = stats.rankdata(values), stats.rankdata(given)
    return ranks - numpy.poly1d(numpy.polyfit(base, ranks, 1))(base)


@given(COLUMNS)
def test_partial_is_the_correlation_of_residuals(columns):
    found = partial_spearman(*tensors(columns))
    if any(len(set(column)) == 1 for column in columns):
        assert math.isnan(found)
        return
    left = [residual(column, columns[2]) for column in columns[:2]]
    if min(numpy.abs(one).max() for one in left) < 1e-6:
        assert math.isnan(found)  # the third orders the values as one of the two does
    else:
        assert found == pytest.approx(numpy.corrcoef(*left)[0, 1], abs=1e-6)


def test_what_follows_from_the_third_alone_leaves_nothing():
    rate = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.45])
    score = torch.tensor([0.3, 0.1, 0.9, 0.5, 0.4])
    entropy = rate * (1 - rate)  # below 1/2 a function of the rate that keeps its order
    assert spearman(entropy, rate) == 1
    assert math.isnan(partial_spearman(entropy, score, rate))
    assert math.isnan(partial_spearman(score, -rate, rate))


def test_too_few_values_say_nothing():
    two, three = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0, 2.0])
    assert math.isnan(spearman(two, two))
    assert math.isnan(spearman(torch.empty(0), torch.empty(0)))
    assert spearman(three, three) == 1
    assert math.isnan(partial_spearman(three, torch.tensor([1.0, 2.0, 3.0]), three.flip(0)))


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="of equal length"):
        spearman(torch.ones(3), torch.ones(4))
    with pytest.raises(DataError, match="all numbers"):
        spearman(torch.tensor([1.0, math.nan, 2.0]), torch.ones(3))
    with pytest.raises(DataError, match=r"values \[n\]"):
        average_ranks(torch.ones(2, 2))
