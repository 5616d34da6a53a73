"""Scores against candidates: alignment, comparison with a threshold, the k-th largest."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.errors import ConfigError, RunError
from spikeprune.science.ranked_values import Magnitude, aligned, find_threshold, passing

DTYPES = [torch.float32, torch.float64]
TESTS = [torch.gt, torch.ge, torch.eq]


def every(*scores):
    return [torch.ones(score.shape, dtype=torch.bool) for score in scores]


def drawn(shape, seed, levels=4):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-levels, levels, shape, generator=generator) / 2.0


@settings(deadline=None)
@given(
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=40),
    st.data(),
    st.sampled_from(DTYPES),
)
def test_the_threshold_of_any_floats_is_the_kth_of_a_sort(values, data, dtype):
    k = data.draw(st.integers(1, len(values)))
    scores = [torch.tensor(values, dtype=dtype)]
    found = find_threshold(scores, k, every(*scores)).threshold
    assert found.item() == sorted(values, reverse=True)[k - 1]
    assert found.dtype == dtype


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=40), st.data())
def test_the_threshold_of_any_doubles_is_the_kth_of_a_sort(values, data):
    k = data.draw(st.integers(1, len(values)))
    scores = [torch.tensor(values, dtype=torch.float64)]
    found = find_threshold(scores, k, every(*scores)).threshold
    assert found.item() == sorted(values, reverse=True)[k - 1]


def test_only_candidates_count_and_a_shared_score_counts_for_each():
    scores = [torch.tensor([[3.0], [1.0]]), torch.tensor([2.0, 9.0]), torch.empty(0)]
    candidates = [torch.ones(2, 2, dtype=torch.bool), torch.tensor([True, False])]
    candidates.append(torch.empty(0, dtype=torch.bool))
    found = [find_threshold(scores, k, candidates) for k in range(1, 6)]
    assert [f.threshold.item() for f in found] == [3.0, 3.0, 2.0, 1.0, 1.0]
    assert [f.missing for f in found] == [1, 2, 1, 1, 2]
    assert [f.equal for f in found] == [2, 2, 1, 2, 2]


def test_half_precision_is_compared_in_float32_and_mixed_types_in_the_wider():
    half = torch.tensor([1.0, 2.0], dtype=torch.bfloat16)
    wide = torch.tensor([1.5], dtype=torch.float64)
    assert find_threshold([half], 1, every(half)).threshold.dtype == torch.float32
    found = find_threshold([half, wide], 2, every(half, wide)).threshold
    assert found.dtype == torch.float64
    assert found.item() == 1.5


@pytest.mark.parametrize("shape", [(4, 1, 1, 1), (4, 3, 1, 1), (1, 3, 5, 5), (4, 3, 5, 5)])
@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("last", [False, True])
def test_passing_is_the_comparison_of_candidates(shape, test, last):
    score, candidates = drawn(shape, 1), drawn((4, 3, 5, 5), 2) > 0
    if last:
        candidates = candidates.contiguous(memory_format=torch.channels_last)
    for given_score, values in ((score, score), (Magnitude(score), score.abs())):
        found = passing(given_score, candidates, torch.tensor(0.5), test)
        assert torch.equal(found, test(values, 0.5) & candidates)
        assert found.stride() == candidates.stride()
        own = candidates.clone()
        assert passing(given_score, own, torch.tensor(0.5), test, into=own) is own
        assert torch.equal(own, found)


def test_aligned_scores_have_the_axes_of_their_candidates():
    weight = torch.nn.Parameter(torch.ones(3))
    first, second = aligned([weight, Magnitude(torch.ones(2, 1))], every(torch.ones(2, 3)) * 2)
    assert first.shape == (1, 3)
    assert not first.requires_grad
    assert isinstance(second, Magnitude)
    assert second.shape == (2, 1)
    assert second.device == torch.device("cpu")


@pytest.mark.parametrize(
    ("scores", "error", "expected"),
    [
        ([], ConfigError, "expected 1 tensors of scores, got 0"),
        ([torch.ones(3)], ConfigError, r"broadcast to \(2, 2\), got torch.float32"),
        ([torch.ones(1, 2, 2)], ConfigError, "broadcast to"),
        ([torch.ones(2, 2, dtype=torch.int64)], ConfigError, "real scores"),
        ([Magnitude(torch.tensor([math.nan, 1.0]))], RunError, "not a number"),
    ],
)
def test_scores_that_do_not_fit_are_refused(scores, error, expected):
    with pytest.raises(error, match=expected):
        aligned(scores, [torch.ones(2, 2, dtype=torch.bool)])
