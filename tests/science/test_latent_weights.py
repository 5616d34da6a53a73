import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeprune.science.latent_weights import (
    gate_gradient,
    opening,
    soft_threshold,
    temperature,
)


def test_a_soft_threshold_moves_every_size_towards_zero():
    latent = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 2.0])
    expected = torch.tensor([-2.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    assert torch.equal(soft_threshold(latent, 1.0), expected)
    assert torch.equal(soft_threshold(latent, 0.0), latent)
    rows = soft_threshold(latent.expand(2, 6), torch.tensor([[0.0], [1.0]]))
    assert torch.equal(rows, torch.stack([latent, expected]))


def test_the_temperature_rises_exponentially_from_5_to_1000():
    assert [temperature(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([5, 5000**0.5, 1000])
    assert opening(torch.tensor([0.0, 1.0, -1.0]), 1000.0).tolist() == [0.5, 1.0, 0.0]


@given(st.integers(0, 1000), st.sampled_from([5.0, 30.0, 1000.0]), st.booleans())
def test_the_gradient_of_the_gates_is_that_of_autograd(seed, t, driven):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    gate, latent, slope, price = 0.01 * draw(3, 4), draw(3, 4), draw(3, 4), draw(1, 4).abs()
    gate.requires_grad_()
    opened = opening(gate, t)
    loss = (price * opened).sum() + (slope * latent * opened).sum() * driven
    (expected,) = torch.autograd.grad(loss, gate)
    drive = slope * latent if driven else None
    found = gate_gradient(opened.detach(), t, price, drive=drive)
    torch.testing.assert_close(found, expected)
