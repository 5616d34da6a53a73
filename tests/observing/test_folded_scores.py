"""Scores that a compiled neuron folds over time in passing, against those of its potentials."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from spikeprune.adapters.registry import adapter_for
from spikeprune.adapters.speedups import fuse
from spikeprune.neurons import kernels
from spikeprune.observing.observer import Observer

T = 4


@pytest.fixture(autouse=True)
def _compiler():
    reason = kernels.obstacle()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def kinds(monkeypatch):
    """The kinds of kernel that are called."""
    called = []
    original = kernels.kernel
    monkeypatch.setattr(kernels, "kernel", lambda kind: called.append(kind) or original(kind))
    return called


def net(surrogate_function=None):
    torch.manual_seed(0)
    model = nn.Sequential(
        layer.Conv2d(2, 3, 3, padding=1),
        neuron.LIFNode(surrogate_function=surrogate_function or surrogate.ATan()),
        layer.Flatten(),
        layer.Linear(75, 5),
        neuron.IFNode(v_reset=None),
    )
    functional.set_step_mode(model, "m")
    with torch.no_grad():
        model[0].weight.mul_(4)
        model[3].weight.mul_(4)
    return model


def batch(steps=T, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(steps, 6, 2, 5, 5, generator=generator)


def observed(model, batches, **options):
    with Observer(model, time_steps=T, train=model.training, **options) as observer:
        for x in batches:
            functional.reset_net(model)
            model(x)
    return observer.compute()


def both(make=net, batches=None, *, train=False, **options):
    """Stats by the eager and by the compiled body."""
    batches = [batch(), batch(seed=1)] if batches is None else batches
    stats = []
    for compiled in (False, True):
        model = make().train(train)
        assert len(fuse(model, compiled=compiled).fused) == 2
        stats.append(observed(model, batches, **options))
    return stats


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys() == {"1", "4"}
    for name in ours:
        torch.testing.assert_close(ours[name].score, theirs[name].score)
        assert torch.equal(ours[name].rate, theirs[name].rate)
        assert ours[name].samples == theirs[name].samples == 12


def folded(kinds):
    return [kind.folded is not None for kind in kinds]


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("space", ["max", "mean"])
@pytest.mark.parametrize("time", ["max", "mean"])
def test_folded_scores_are_those_of_the_potentials(time, space, train, kinds):
    assert_same(*both(train=train, time=time, space=space))
    assert folded(kinds) == [True] * 4
    assert not any(kind.observed for kind in kinds)


@pytest.mark.parametrize(("curve", "value"), [("tanh", "derivative"), ("triangle", "primitive")])
def test_named_curves_are_folded(curve, value, kinds):
    assert_same(*both(curve=curve, value=value))
    assert all(folded(kinds))


def test_arming_again_makes_no_further_kernel(monkeypatch):
    made = []
    original = kernels._made
    monkeypatch.setattr(kernels, "_made", lambda kind: made.append(kind) or original(kind))
    monkeypatch.setattr(kernels, "_kernels", {})
    model = net().eval()
    fuse(model, compiled=True)
    for _ in range(3):
        observed(model, [batch()])
    assert len(made) == len(set(made)) == 2  # hard and soft reset


def test_spikes_and_gradients_stay_what_they_are():
    results = []
    for watch in (False, True):
        model = net().train()
        fuse(model, compiled=True)
        observer = Observer(model, time_steps=T, train=True)
        if watch:
            observer.arm()
        spikes = model(batch())
        spikes.sum().backward()
        observer.disarm()
        results.append((spikes.detach(), model[0].weight.grad))
    for plain, seen in zip(*results, strict=True):
        assert torch.equal(plain, seen)


def test_sequences_in_pieces_are_not_folded(kinds):
    """T steps in one call fold; two calls, or two sequences in one, go by the potentials."""
    double = torch.cat([batch(), batch(seed=1)])
    assert_same(*both(batches=[double]))
    assert not any(folded(kinds))
    model = net().eval()
    fuse(model, compiled=True)
    with Observer(model, time_steps=T, train=False) as observer:
        for x in (batch(), batch(seed=1)):
            functional.reset_net(model)
            model(x[:1])
            model(x[1:])
    expected, _ = both()
    assert_same(observer.compute(), expected)


def test_moments_and_a_second_observer_take_the_potentials(kinds):
    eager, compiled = both(moments=True)
    assert not any(folded(kinds))
    for name in eager:
        torch.testing.assert_close(compiled[name].moments, eager[name].moments)
    model, seen = net().eval(), []
    fuse(model, compiled=True)
    with adapter_for(model).observe(model[1], seen.append, lambda: None):
        twice = observed(model, [batch(), batch(seed=1)])
    assert_same(twice, eager)
    assert [x.shape for x in seen] == [(T, 6, 3, 5, 5)] * 2


def test_a_surrogate_without_a_closed_form_goes_by_the_potentials(kinds):
    make = lambda: net(surrogate.QPseudoSpike())  # noqa: E731
    eager, compiled = both(make)
    assert_same(eager, compiled)
    assert not any(kind.folded for kind in kinds if kind.form.dynamics.reset is not None)


def test_the_other_mode_is_left_out():
    model = net().train()
    fuse(model, compiled=True)
    observer = Observer(model, time_steps=T, train=True)
    observer.arm()
    model(batch())
    functional.reset_net(model)
    model.eval()(batch(seed=1))
    functional.reset_net(model.train())
    model(batch(seed=1))
    expected = observed(net().train(), [batch(), batch(seed=1)])
    assert_same(observer.compute(), expected)
