"""Neurons found by their spike functions: axes, observation, surrogate."""

import pytest
import torch
from tests.foreign.plain import LoopLIF, States, T, Threshold, Triangle
from torch import nn

from spikeprune import trace
from spikeprune.adapters.spike_functions.site import Axes, as_in_training, observing_sites
from spikeprune.errors import ObservationError


@pytest.mark.parametrize(
    ("form", "steps", "made"),
    [
        ("B", 1, lambda x: x[0]),
        ("T B", 3, lambda x: x),
        ("B T", 3, lambda x: x.transpose(0, 1)),
        ("(T B)", 3, lambda x: x.flatten(0, 1)),
        ("(B T)", 3, lambda x: x.transpose(0, 1).flatten(0, 1)),
    ],
)
def test_any_order_of_axes_is_split_into_time_and_samples(form, steps, made):
    x = torch.randn(3, 2, 4, 5, 5)  # [T, B, C, H, W]
    axes = Axes(form, steps, 3)
    assert torch.equal(axes.split(made(x)), x if steps == 3 else x[:1])
    assert axes.plain == (form in ("B", "T B"))


def test_sites_report_each_step_and_change_nothing():
    torch.manual_seed(0)
    model, x = States(), 3 * torch.rand(5, 12)
    wiring = trace(model, x, time_steps=T)
    site, seen = wiring.sites["lif1"], []
    expected = model(x)
    with observing_sites(model, {site: seen.append}):
        assert torch.equal(model(x), expected)
    assert [u.shape for u in seen] == [(1, 5, 24)] * T
    assert not any(u.requires_grad for u in seen)
    assert 0 < torch.cat(seen).ge(0).float().mean() < 1


def test_a_neuron_that_fires_by_another_rule_now_is_refused():
    model, x = nn.Sequential(nn.Linear(3, 4), LoopLIF()), torch.rand(T, 2, 3)
    wiring = trace(model, x[0], time_steps=T)
    old = Triangle.forward
    try:
        Triangle.forward = staticmethod(lambda ctx, u: (u < 0).float())
        expected = pytest.raises(ObservationError, match="Triangle in '1' to fire where")
        with expected, observing_sites(model, {wiring.sites["1"]: lambda u: None}):
            model(x)
    finally:
        Triangle.forward = staticmethod(old)


def test_the_surrogate_is_that_of_the_function_relative_to_threshold():
    states = trace(States(), torch.rand(2, 12), time_steps=T).sites["lif1"].surrogate
    u = torch.tensor([-0.5, -1e-6, 1e-6, 0.5], requires_grad=True)
    assert states(u).tolist() == [0, 0, 1, 1]
    (slope,) = torch.autograd.grad(states(u).sum(), u)
    torch.testing.assert_close(slope, 2 / (1 + (2 * u.detach()) ** 2))
    vector = trace(Threshold(), torch.rand(2, 1, 8, 8), time_steps=T).sites["#1"].surrogate
    assert vector(u).tolist() == [0, 0, 1, 1]


def test_single_modules_run_as_in_training_while_the_net_is_in_eval_mode():
    model = nn.Sequential(nn.Sequential(nn.Dropout()), nn.Dropout()).eval()
    with as_in_training(model, ["0"]):
        assert [m.training for m in model.modules()] == [False, True, False, False]
    assert not any(m.training for m in model.modules())
    with as_in_training(model, ["0"]):
        model.train()
    assert all(m.training for m in model.modules())
