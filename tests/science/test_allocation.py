import math
from fractions import Fraction

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spikeprune.errors import BudgetError, ConfigError
from spikeprune.science.allocation import SHARES, floor_share, kept_counts, limit_counts

ALLOCATIONS = ("global", *SHARES)

shape = st.one_of(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3), st.integers(1, 3)),
)
pools = st.lists(shape, min_size=1, max_size=6).map(
    lambda shapes: {f"layer{i}.weight": s for i, s in enumerate(shapes)}
)
densities = st.floats(0, 1)
percents = st.integers(0, 100)


def scores(shapes, seed, levels=7):
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randint(levels, s, generator=generator).float() for n, s in shapes.items()}


@st.composite
def limited(draw):
    """Shapes, limits in whole percent, and the counts that they allow, in exact arithmetic."""
    shapes = draw(pools)
    names = draw(st.lists(st.sampled_from([*shapes]), unique=True))
    percent = {name: sorted(draw(st.tuples(percents, percents))) for name in names}
    limits = {name: (low / 100, high / 100) for name, (low, high) in percent.items()}
    bounds = []
    for name, s in shapes.items():
        low, high = percent.get(name, (0, 100))
        least = -(-low * math.prod(s) // 100)
        bounds.append((least, max(high * math.prod(s) // 100, least)))
    return shapes, limits, bounds


@settings(deadline=None)
@given(pools, densities, st.integers(0, 2**31), st.sampled_from(ALLOCATIONS))
def test_the_total_is_exact_and_no_tensor_overflows(shapes, density, seed, allocation):
    counts = kept_counts(shapes, density, allocation=allocation, saliency=scores(shapes, seed))
    assert list(counts) == list(shapes)
    assert sum(counts.values()) == round(density * sum(map(math.prod, shapes.values())))
    assert all(0 <= counts[name] <= math.prod(s) for name, s in shapes.items())


@settings(deadline=None)
@given(limited(), densities, st.integers(0, 2**31), st.sampled_from(ALLOCATIONS))
def test_limits_are_held_or_the_budget_refused(case, density, seed, allocation):
    shapes, limits, bounds = case
    options = {"allocation": allocation, "saliency": scores(shapes, seed), "limits": limits}
    total = round(density * sum(map(math.prod, shapes.values())))
    if sum(low for low, _ in bounds) <= total <= sum(high for _, high in bounds):
        counts = kept_counts(shapes, density, **options).values()
        assert sum(counts) == total
        assert all(a <= n <= b for n, (a, b) in zip(counts, bounds, strict=True))
    else:
        with pytest.raises(BudgetError):
            kept_counts(shapes, density, **options)


@settings(deadline=None)
@given(pools, densities, st.integers(0, 2**31))
def test_global_is_the_share_of_a_stable_sort_of_everything(shapes, density, seed):
    saliency = scores(shapes, seed)
    counts = kept_counts(shapes, density, allocation="global", saliency=saliency)
    entries = [(-v, i) for i, s in enumerate(saliency.values()) for v in s.flatten().tolist()]
    best = sorted(entries, key=lambda entry: entry[0])[: sum(counts.values())]
    assert list(counts.values()) == [
        sum(owner == i for _, owner in best) for i in range(len(shapes))
    ]


@settings(deadline=None)
@given(limited(), densities, st.integers(0, 2**31))
def test_global_under_limits_is_greedy(case, density, seed):
    """Slow reference: floors first, then the best that is left, skipping full tensors."""
    shapes, limits, bounds = case
    saliency = scores(shapes, seed, levels=1000)
    total = round(density * sum(map(math.prod, shapes.values())))
    low, high = zip(*bounds, strict=True)
    assume(sum(low) <= total <= sum(high))
    counts, entries = list(low), []
    for i, s in enumerate(saliency.values()):
        best = sorted(s.flatten().tolist(), reverse=True)
        entries += [(-v, i) for v in best[low[i] :]]
    for _, i in sorted(entries):
        if sum(counts) < total and counts[i] < high[i]:
            counts[i] += 1
    found = kept_counts(shapes, density, saliency=saliency, limits=limits)
    assert list(found.values()) == counts


@settings(deadline=None)
@given(pools, densities)
def test_uniform_is_within_one_weight_of_the_density(shapes, density):
    counts = kept_counts(shapes, density, allocation="uniform")
    for name, s in shapes.items():
        assert abs(counts[name] - density * math.prod(s)) < 2


def test_largest_remainders_are_rounded_up():
    shapes = {"a": (10,), "b": (5,), "c": (5,)}  # a quarter: 2.5, 1.25, 1.25
    assert kept_counts(shapes, 0.25, allocation="uniform") == {"a": 3, "b": 1, "c": 1}


def erk_by_rounds(shapes, density):
    """ERK as in the literature: set dense what saturates, rescale the rest, repeat."""
    sizes = {n: math.prod(s) for n, s in shapes.items()}
    dense = set()
    while True:
        budget = density * sum(sizes.values()) - sum(sizes[n] for n in dense)
        factor = budget / sum(sum(shapes[n]) for n in shapes if n not in dense)
        full = {n for n in shapes if n not in dense and factor * sum(shapes[n]) > sizes[n]}
        if not full:
            return {n: sizes[n] if n in dense else factor * sum(shapes[n]) for n in shapes}
        dense |= full


@pytest.mark.parametrize("density", [0.01, 0.1, 0.3, 0.5, 0.9])
def test_erk_equals_the_rounds_of_the_literature(density):
    shapes = {"stem": (8, 3, 3, 3), "mid": (32, 8, 3, 3), "wide": (64, 32, 3, 3), "fc": (10, 64)}
    counts = kept_counts(shapes, density, allocation="erk")
    for name, target in erk_by_rounds(shapes, density).items():
        assert abs(counts[name] - target) < 1 + 1e-6


def test_erk_gives_small_tensors_more():
    shapes = {"small": (8, 3, 3, 3), "large": (64, 64, 3, 3)}
    counts = kept_counts(shapes, 0.1, allocation="erk")
    assert counts["small"] / (8 * 27) > counts["large"] / (64 * 64 * 9)


def test_limits_are_read_as_decimal_fractions():
    shapes = {"a": (30,), "b": (30,)}
    counts = kept_counts(shapes, 0.5, allocation="uniform", limits={"a": (0.1, 0.1)})
    assert counts == {"a": 3, "b": 27}


def test_a_limit_that_meets_no_whole_number_is_rounded_up():
    shapes = {"a": (15,), "b": (15,)}
    counts = kept_counts(shapes, 0.5, allocation="uniform", limits={"a": (0.1, 0.1)})
    assert counts == {"a": 2, "b": 13}


@pytest.mark.parametrize(
    ("limits", "size", "counts"),
    [((0.1, 0.5), 30, (3, 15)), ((0.25, 0.5), 1, (1, 1)), ((0.0, 0.5), 1, (0, 0))],
)
def test_limits_are_rounded_inwards_or_up(limits, size, counts):
    assert limit_counts(limits, size) == counts


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_impossible_limits_are_refused(allocation):
    shapes = {"a": (10,), "b": (10,)}
    for limits in ({"a": (0.9, 1.0)}, {"a": (0.0, 0.0), "b": (0.0, 0.1)}):
        with pytest.raises(BudgetError, match="density limits allow"):
            kept_counts(shapes, 0.2, allocation=allocation, limits=limits)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"allocation": "layerwise"}, "erk, global, uniform"),
        ({"density": 1.5}, r"density in \[0, 1\]"),
        ({"limits": {"c": (0.0, 1.0)}}, "expected one of: a, b"),
        ({"limits": {"a": (0.5, 0.1)}}, "low <= high"),
        ({"saliency": None}, "got: none"),
        ({"saliency": {"a": torch.ones(2)}}, "got: a"),
        ({"saliency": {"a": torch.ones(2), "b": torch.ones(3)}}, "for 'b'"),
    ],
)
def test_bad_input_is_refused(options, expected):
    shapes = {"a": (2,), "b": (2,)}
    arguments = {"density": 0.5, "saliency": {n: torch.ones(s) for n, s in shapes.items()}}
    with pytest.raises(ConfigError, match=expected):
        kept_counts(shapes, **(arguments | options))


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_what_lives_ranks_above_the_rest(seed, density, share, limited):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a": (3, 4), "b": (5,), "c": (2, 2, 2)}
    values = {n: torch.randint(3, s, generator=generator).float() for n, s in shapes.items()}
    live = {n: torch.rand(s, generator=generator) < share for n, s in shapes.items()}
    limits = {"b": (0.2, 0.8)} if limited else None
    ranked = {n: v.masked_fill(~live[n], -1.0) for n, v in values.items()}
    results = []
    for arguments in ({"saliency": ranked}, {"saliency": values, "live": live}):
        try:
            results.append(kept_counts(shapes, density, limits=limits, **arguments))
        except BudgetError as error:
            results.append(str(error))
    assert results[0] == results[1]


@given(st.integers(0, 99), st.integers(0, 10**7))
def test_a_share_is_that_of_the_decimal_fraction(percent, count):
    assert floor_share(percent / 100, count) == Fraction(percent, 100) * count // 1


def test_a_share_that_floating_point_would_round_down():
    assert int(0.29 * 100) == 28
    assert floor_share(0.29, 100) == 29
