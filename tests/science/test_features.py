import functools
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeprune.errors import DataError
from spikeprune.science.features import (
    class_mean_cosine,
    class_sums,
    intra_cluster_variance,
    merge_classes,
    min_max,
    spike_entropy,
)


@given(st.integers(1, 10**9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_entropy_against_its_formula(counts):
    spikes, chances = counts
    terms = [-q * math.log2(q) for q in (spikes / chances, 1 - spikes / chances) if q > 0]
    both = torch.tensor([spikes, chances - spikes], dtype=torch.float64)
    value, mirrored = spike_entropy(both, chances).tolist()
    assert value == pytest.approx(sum(terms), abs=1e-12)
    assert value == mirrored  # a tie in every rank


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_entropy_by_hand(dtype):
    entropy = spike_entropy(torch.tensor([[0.0, 2.0], [4.0, 1.0]], dtype=dtype), 4)
    assert entropy.dtype == dtype
    expected = torch.tensor([[0.0, 1.0], [0.0, 0.8112781244591328]], dtype=dtype)
    torch.testing.assert_close(entropy, expected)


@pytest.mark.parametrize("spikes", [-1, 5, math.nan])
def test_more_spikes_than_chances_are_refused(spikes):
    with pytest.raises(DataError, match=r"from 0 to 4 spikes"):
        spike_entropy(torch.tensor([2.0, spikes]), 4)


def test_min_max_per_sample():
    scaled = min_max(torch.tensor([[0.0, 2.0, 4.0], [3.0, 3.0, 3.0], [-1.0, 1.0, 0.0]]))
    assert scaled.tolist() == [[0.0, 0.5, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.5]]


def test_intra_cluster_variance_by_hand():
    features = torch.tensor([[0.0, 0.0], [2.0, 4.0], [5.0, 5.0], [1.0, 1.0]])
    variance = intra_cluster_variance(class_sums(features, torch.tensor([0, 0, 1, 3]), 4))
    # Class 0: mean (1, 2), both samples at squared distance 1 + 4.
    assert variance[:2].tolist() == [5.0, 0.0]
    assert variance[2].isnan()
    assert variance[3] == 0


@given(st.integers(0, 10_000), st.lists(st.integers(0, 12), max_size=3))
def test_streamed_equals_stored(seed, cuts):
    """However the samples are split into batches: each class's summed variance, and its mean."""
    generator = torch.Generator().manual_seed(seed)
    features = 1e6 + torch.rand(12, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (12,), generator=generator)
    ends = [0, *sorted(cuts), 12]
    parts = [class_sums(features[a:b], labels[a:b], 3) for a, b in itertools.pairwise(ends)]
    sums = functools.reduce(merge_classes, parts)
    assert sums.counts.tolist() == torch.bincount(labels, minlength=3).tolist()
    variance = intra_cluster_variance(sums)
    for k in labels.unique().tolist():
        own = features[labels == k]
        torch.testing.assert_close(
            variance[k], own.var(dim=0, correction=0).sum(), rtol=1e-6, atol=1e-9
        )
        torch.testing.assert_close(sums.means[k], own.mean(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cosine_of_class_means_by_hand(dtype):
    train = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0], [0.0, 0.0]], dtype=dtype)
    test = torch.tensor([[1.0, 1.0], [0.0, 5.0], [0.0, -1.0], [1.0, 0.0]], dtype=dtype)
    cosine = class_mean_cosine(
        class_sums(train, torch.tensor([0, 0, 1, 3]), 4),
        class_sums(test, torch.tensor([0, 1, 2, 3]), 4),
    )
    torch.testing.assert_close(cosine[:2], torch.tensor([math.sqrt(0.5), 1.0]).double())
    assert cosine[2:].isnan().all()  # a class that one lacks, and a mean without direction


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="one label for each sample"):
        class_sums(torch.ones(3, 2), torch.zeros(2, dtype=torch.long), 2)
    with pytest.raises(DataError, match="labels from 0 to 1, got 0 to 2"):
        class_sums(torch.ones(2, 2), torch.tensor([0, 2]), 2)
    one = torch.zeros(1, dtype=torch.long)
    narrow, wide = class_sums(torch.ones(1, 2), one, 1), class_sums(torch.ones(1, 3), one, 1)
    with pytest.raises(DataError, match="classes and features"):
        class_mean_cosine(narrow, wide)
    with pytest.raises(DataError, match="classes and features"):
        merge_classes(narrow, wide)
