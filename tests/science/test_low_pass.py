"""The low-pass of a membrane against its kernel, written out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeprune.science.low_pass import LowPass, filtered, gain_of_constant


def kernel(low_pass, steps):
    """Return K as a matrix, `[T, T]`."""
    gap = torch.arange(steps)[:, None] - torch.arange(steps)
    powers = torch.tensor(low_pass.decay, dtype=torch.float64) ** gap.clamp_min(0)
    return low_pass.scale * powers.where(gap >= 0, 0.0)


@given(st.floats(0, 1), st.floats(0.1, 2), st.integers(1, 7), st.integers(0, 99))
def test_it_is_the_product_with_the_kernel(decay, scale, steps, seed):
    low_pass = LowPass(decay, scale)
    x = torch.randn(steps, 3, 2, generator=torch.Generator().manual_seed(seed)).double()
    expected = torch.einsum("ts,sbc->tbc", kernel(low_pass, steps), x)
    torch.testing.assert_close(filtered(x, low_pass), expected)


@given(st.integers(1, 5), st.integers(1, 5))
def test_a_sequence_in_two_parts_is_the_whole(first, rest):
    x, low_pass = torch.randn(first + rest, 4).double(), LowPass(0.7, 0.3)
    begun = filtered(x[:first], low_pass)
    parts = torch.cat([begun, filtered(x[first:], low_pass, begun[-1])])
    torch.testing.assert_close(parts, filtered(x, low_pass))


def test_by_hand():
    x = torch.tensor([1.0, 0.0, 1.0])
    assert filtered(x, LowPass(0.5)).tolist() == [1.0, 0.5, 1.25]
    assert filtered(x, LowPass(1.0)).tolist() == [1.0, 1.0, 2.0]  # an IF adds up
    assert gain_of_constant(LowPass(1.0), 2) == pytest.approx(((1 + 4) / 2) ** 0.5)


@pytest.mark.parametrize("low_pass", [LowPass(0.5, 2.0), LowPass(1.0), LowPass(0.0)])
def test_a_constant(low_pass):
    response = filtered(torch.full((6, 1), 3.0).double(), low_pass)
    found = 3.0 * gain_of_constant(low_pass, 6)
    assert found == pytest.approx(float(response.square().mean().sqrt()))
