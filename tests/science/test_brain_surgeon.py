"""The surgeon against least squares by brute force and its own steps, one weight at a time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.science.brain_surgeon import DAMPING, compensated, damped, single_errors


def drawn(seed, rows=4, size=6, samples=40, groups=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(groups, samples, size, generator=generator, dtype=torch.float64)
    x = x @ torch.randn(groups, size, size, generator=generator, dtype=torch.float64)
    weight = torch.randn(groups * rows, size, generator=generator, dtype=torch.float64)
    return x, weight, x.transpose(1, 2) @ x / samples


def error(x, weight, other):
    return ((weight - other) @ x.T).square().mean(1)


@pytest.mark.parametrize("gone", range(6))
def test_without_one_weight_it_is_least_squares_by_brute_force(gone):
    x, weight, moment = drawn(0)
    live = torch.ones_like(weight, dtype=torch.bool)
    live[:, gone] = False
    found = compensated(weight, live, moment)
    kept = [i for i in range(6) if i != gone]
    fitted = torch.linalg.lstsq(x[0][:, kept], x[0] @ weight.T).solution
    torch.testing.assert_close(found[:, kept], fitted.T)
    assert not found[:, gone].any()
    lost = error(x[0], weight, found)
    torch.testing.assert_close(single_errors(weight, moment)[:, gone], lost)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.randoms(use_true_random=False))
def test_it_ends_where_the_steps_of_the_surgeon_end_in_any_order(seed, shuffle):
    _, weight, moment = drawn(seed, rows=1)
    gone = [0, 2, 5]
    live = torch.ones_like(weight, dtype=torch.bool)
    live[:, gone] = False
    row, inverse = weight[0].clone(), torch.linalg.inv(moment[0])
    shuffle.shuffle(gone)
    for p in gone:
        row = row - row[p] / inverse[p, p] * inverse[:, p]
        inverse = inverse - torch.outer(inverse[:, p], inverse[p]) / inverse[p, p]
    torch.testing.assert_close(compensated(weight, live, moment)[0], row, rtol=1e-6, atol=1e-8)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.sampled_from([1, 2, 3]))
def test_the_error_is_never_above_that_of_zeros(seed, groups):
    x, weight, moment = drawn(seed, groups=groups)
    live = torch.rand(weight.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    found = compensated(weight, live, moment)
    assert not found[~live].any()
    for group, part in enumerate(torch.arange(len(weight)).chunk(groups)):
        best, zeros = (error(x[group], weight[part], w[part]) for w in (found, weight * live))
        assert bool((best <= zeros + 1e-9).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_that_loses_nothing_stays_bit_for_bit(dtype):
    _, weight, moment = drawn(1)
    weight = weight.to(dtype).reshape(4, 2, 3, 1)
    live = torch.ones_like(weight, dtype=torch.bool)
    assert torch.equal(compensated(weight, live, moment), weight)
    live[0, 0, 0] = False
    found = compensated(weight, live, moment)
    assert torch.equal(found[1:], weight[1:])
    assert found.dtype == dtype
    assert found.shape == weight.shape


def test_damping():
    _, weight, moment = drawn(2)
    added = damped(moment) - moment
    level = DAMPING * float(moment[0].diagonal().mean())
    torch.testing.assert_close(added[0], level * torch.eye(6, dtype=torch.float64))
    silent = damped(torch.zeros(2, 3, 3))
    assert torch.equal(silent, torch.eye(3, dtype=torch.float64).expand(2, 3, 3))
    live = weight[:, :3] > 0
    zeros = compensated(weight[:, :3], live, silent)
    torch.testing.assert_close(zeros, weight[:, :3] * live)
    assert DAMPING == 0.01
