import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeprune.errors import DataError
from spikeprune.science.features import (
    class_mean_cosine,
    intra_cluster_variance,
    min_max,
    spike_entropy,
)


@given(st.floats(0, 1))
def test_entropy_against_its_formula(p):
    terms = [-q * math.log2(q) for q in (p, 1 - p) if q > 0]
    value = float(spike_entropy(torch.tensor(p, dtype=torch.float64)))
    assert value == pytest.approx(sum(terms), abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_entropy_by_hand(dtype):
    entropy = spike_entropy(torch.tensor([[0.0, 0.5], [1.0, 0.25]], dtype=dtype))
    assert entropy.dtype == dtype
    expected = torch.tensor([[0.0, 1.0], [0.0, 0.8112781244591328]], dtype=dtype)
    torch.testing.assert_close(entropy, expected)


@pytest.mark.parametrize("rate", [-0.01, 1.01, math.nan])
def test_rates_outside_the_unit_interval_are_refused(rate):
    with pytest.raises(DataError, match=r"rates in \[0, 1\]"):
        spike_entropy(torch.tensor([0.5, rate]))


def test_min_max_per_sample():
    scaled = min_max(torch.tensor([[0.0, 2.0, 4.0], [3.0, 3.0, 3.0], [-1.0, 1.0, 0.0]]))
    assert scaled.tolist() == [[0.0, 0.5, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.5]]


def test_intra_cluster_variance_by_hand():
    features = torch.tensor([[0.0, 0.0], [2.0, 4.0], [5.0, 5.0], [1.0, 1.0]])
    variance = intra_cluster_variance(features, torch.tensor([0, 0, 1, 3]), 4)
    # Class 0: mean (1, 2), both samples at squared distance 1 + 4.
    assert variance[:2].tolist() == [5.0, 0.0]
    assert variance[2].isnan()
    assert variance[3] == 0


@given(st.integers(0, 10_000))
def test_intra_cluster_variance_is_the_summed_variance_of_the_features(seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.rand(12, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (12,), generator=generator)
    variance = intra_cluster_variance(features, labels, 3)
    for k in labels.unique().tolist():
        expected = features[labels == k].var(dim=0, correction=0).sum()
        torch.testing.assert_close(variance[k], expected)


def test_cosine_of_class_means_by_hand():
    train = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0]])
    test = torch.tensor([[1.0, 1.0], [0.0, 5.0], [0.0, -1.0]])
    cosine = class_mean_cosine(
        train, torch.tensor([0, 0, 1]), test, torch.tensor([0, 1, 2]), classes=3
    )
    torch.testing.assert_close(cosine[:2], torch.tensor([math.sqrt(0.5), 1.0]))
    assert cosine[2].isnan()


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="one label for each sample"):
        intra_cluster_variance(torch.ones(3, 2), torch.zeros(2, dtype=torch.long), 2)
    with pytest.raises(DataError, match="labels from 0 to 1, got 0 to 2"):
        intra_cluster_variance(torch.ones(2, 2), torch.tensor([0, 2]), 2)
    one = torch.zeros(1, dtype=torch.long)
    with pytest.raises(DataError, match="as many features, got 2 and 3"):
        class_mean_cosine(torch.ones(1, 2), one, torch.ones(1, 3), one, classes=1)
