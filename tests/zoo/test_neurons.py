"""Neurons of the zoo against the recurrences of the paper, written out."""

import pytest
import torch

from spikeprune.errors import ConfigError
from spikeprune.zoo.neurons import KINDS, RESETS, TanhSurrogate, neuron_factory


def run(node, x):
    node.step_mode = "m"
    return node(x)


def recurrence(x, *, keep, gain, threshold, hard):
    v, spikes = torch.zeros_like(x[0]), []
    for step in x:
        h = keep * v + gain * step
        s = (h >= threshold).to(h)
        v = h * (1 - s) if hard else h - threshold * s
        spikes.append(s)
    return torch.stack(spikes)


@pytest.mark.parametrize(
    ("preset", "gain", "threshold"), [("paper-weight", 1.0, 0.5), ("paper-channel", 0.75, 1.0)]
)
def test_presets_follow_the_method(preset, gain, threshold):
    x = 2 * torch.randn(6, 500, generator=torch.Generator().manual_seed(0))
    expected = recurrence(x, keep=0.25, gain=gain, threshold=threshold, hard=True)
    assert 0.1 < expected.mean() < 0.9
    assert torch.equal(run(neuron_factory(preset=preset)(), x), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reset", RESETS)
def test_kinds_and_resets(kind, reset):
    x = 2 * torch.randn(6, 500, generator=torch.Generator().manual_seed(0))
    keep, gain = (1.0, 1.0) if kind == "if" else (0.25, 0.75)
    expected = recurrence(x, keep=keep, gain=gain, threshold=1.0, hard=reset == "hard")
    assert torch.equal(run(neuron_factory(kind, reset)(), x), expected)


def test_each_neuron_has_its_own_surrogate():
    make = neuron_factory()
    assert make().surrogate_function is not make().surrogate_function
    assert make().detach_reset


def test_tanh_surrogate_is_the_derivative_of_its_primitive():
    u = torch.linspace(-2, 2, 401, dtype=torch.float64, requires_grad=True)
    smooth = TanhSurrogate(3.0, spiking=False)(u)
    spikes = TanhSurrogate(3.0)(u)
    (expected,) = torch.autograd.grad(smooth.sum(), u)
    (got,) = torch.autograd.grad(spikes.sum(), u)
    assert torch.allclose(got, expected)
    assert torch.allclose(got / got.max(), 1 - torch.tanh(3 * u.detach()) ** 2)
    assert torch.equal(spikes, (u >= 0).to(u))
    assert smooth.min() >= 0
    assert smooth.max() <= 1


def test_a_preset_does_not_bend():
    with pytest.raises(ConfigError, match="'paper-weight' is a 'lif' neuron with 'hard' reset"):
        neuron_factory("if", preset="paper-weight")
