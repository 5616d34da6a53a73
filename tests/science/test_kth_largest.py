"""The k-th largest against a sort, where sampling has a hard time."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.science import ranked_values as threshold
from spikeprune.science.ranked_values import Strip, find

SIZE = 5000


def drawn(seed):
    return torch.Generator().manual_seed(seed)


def uniform(seed):
    return torch.rand(SIZE, generator=drawn(seed))


def periodic(seed):
    """Large exactly where a sample of every second value looks."""
    return uniform(seed) + 10.0 * (torch.arange(SIZE) % 2)


def sorted_(seed):
    return uniform(seed).sort().values


def steps(seed):
    """Few values, each many times."""
    return torch.randint(3, (SIZE,), generator=drawn(seed)).float()


def constant(seed):
    return torch.full((SIZE,), -1.5)


def mostly_equal(seed):
    values = torch.zeros(SIZE)
    values[::97] = uniform(seed)[::97] - 0.5
    return values


def wide(seed):
    """From the smallest number to infinity, with signed zeros."""
    values = torch.randn(SIZE, generator=drawn(seed)).sign()
    values *= 2.0 ** torch.randint(-149, 128, (SIZE,), generator=drawn(seed + 1))
    values[:40] = torch.tensor([0.0, -0.0, math.inf, -math.inf]).repeat(10)
    return values


def neighbours(seed):
    """Consecutive floating-point numbers."""
    return (torch.randint(50, (SIZE,), generator=drawn(seed)) + 1_000_000).int().view(torch.float32)


FORMS = [uniform, periodic, sorted_, steps, constant, mostly_equal, wide, neighbours]


@settings(max_examples=150, deadline=None)
@given(
    form=st.sampled_from(FORMS),
    seed=st.integers(0, 1000),
    place=st.floats(0, 1),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    counts=st.sampled_from(["all", "half", "few", "repeats"]),
    magnitude=st.booleans(),
)
def test_find_equals_a_sort(form, seed, place, dtype, counts, magnitude):
    values = form(seed)
    weights = {
        "all": lambda: torch.ones(SIZE, dtype=torch.bool),
        "half": lambda: uniform(seed + 1) < 0.5,
        "few": lambda: (torch.arange(SIZE) + seed) % 531 == 0,
        "repeats": lambda: torch.randint(4, (SIZE,), generator=drawn(seed + 2)),
    }[counts]()
    meant = (values.abs() if magnitude else values).to(dtype)
    pool = meant.repeat_interleave(weights.long()).sort(descending=True).values
    k = 1 + round(place * (len(pool) - 1))
    with pytest.MonkeyPatch.context() as patch:
        for name, size in (("_CHUNK", 512), ("_SAMPLE", 64), ("_FEW", 20)):
            patch.setattr(threshold, name, size)
        cuts = [1, 1500, SIZE - 1501]
        parts = zip(values.split(cuts), weights.split(cuts), strict=True)
        found = find([Strip(v, w, magnitude) for v, w in parts], k, dtype)
    expected = pool[k - 1]
    assert found.threshold.dtype == dtype
    assert found.threshold == expected
    assert found.equal == int((pool == expected).sum())
    assert found.missing == k - int((pool > expected).sum())


def test_a_sample_that_misleads_costs_passes_only(monkeypatch):
    values = uniform(0)
    wrong = iter([(0.9, 0.95), (0.0, 0.01), (0.2, 0.6), (0.45, 0.46)])
    honest = threshold._pivots
    asked = []

    def pivots(strips, k, dtype):
        asked.append(len(strips[0].values))
        given = next(wrong, None)
        return honest(strips, k, dtype) if given is None else tuple(map(torch.tensor, given))

    monkeypatch.setattr(threshold, "_pivots", pivots)
    monkeypatch.setattr(threshold, "_FEW", 20)
    found = find([Strip(values, torch.ones(SIZE, dtype=torch.bool))], SIZE // 2, torch.float32)
    assert found.threshold == values.sort(descending=True).values[SIZE // 2 - 1]
    assert len(asked) > 2
