"""Running sums of potentials against stored ones, and folded by a compiled neuron in passing."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from spikeprune.adapters.registry import adapter_for
from spikeprune.adapters.speedups import fuse
from spikeprune.errors import ObservationError
from spikeprune.neurons import kernels
from spikeprune.observing.criticality_options import PAPER, CriticalityOptions
from spikeprune.observing.observer import Observer
from spikeprune.observing.potential_sums import PotentialSums
from spikeprune.science.criticality import channel_criticality
from spikeprune.science.surrogate import named_curve

T = 4
ATAN = named_curve("atan", "derivative")


# -- one neuron --------------------------------------------------------------------------------


def potentials():
    """Relative to the threshold, `[T, B, C, *space]`."""
    return torch.randn(T, 5, 3, 2, 2, generator=torch.Generator().manual_seed(0)) - 0.4


def sums(threshold=None, options=PAPER, *, neuron=None, train=True, traceable=False):
    return PotentialSums(
        "n",
        neuron or nn.Identity(),
        ATAN,
        options,
        time_steps=T,
        train=train,
        traceable=traceable,
        threshold=threshold,
    )


@pytest.mark.parametrize("space", ["max", "mean"])
def test_streaming_in_pieces_equals_storing(space):
    x, options = potentials(), CriticalityOptions(space=space)
    streamed = sums(0.5, options)
    for batch in x.split((2, 3), dim=1):
        for steps in batch.split((1, 3)):
            streamed(steps)
    stats = streamed.stats()
    expected = channel_criticality(x, ATAN, space=space)
    torch.testing.assert_close(stats.score, expected)
    flat = x.transpose(0, 2).flatten(1).double()
    torch.testing.assert_close(stats.rate, (flat >= 0).float().mean(1))
    assert (stats.samples, streamed.total) == (5, 2 * T)
    torch.testing.assert_close(stats.potential.mean, flat.mean(1).float())
    torch.testing.assert_close(stats.potential.variance, flat.var(1, correction=0).float())
    torch.testing.assert_close(stats.potential.size, (flat + 0.5).abs().mean(1).float())


def test_a_constant_potential_has_no_variance():
    streamed = sums(threshold=1.0)
    streamed(torch.full((T, 3, 4), 0.1))
    found = streamed.stats().potential
    assert found.variance.tolist() == [0.0] * 4
    torch.testing.assert_close(found.size, torch.full((4,), 1.1))


def test_moments_are_left_out_without_a_threshold():
    plain, full = sums(), sums(threshold=0.5)
    for streamed in (plain, full):
        streamed(potentials())
    assert plain.stats().moments is None
    assert torch.equal(plain.stats().score, full.stats().score)
    # 3 channels: criticality, spikes and three moments of each, samples and entries.
    assert (len(plain.sums()), len(full.sums())) == (2 * 3 + 2, 5 * 3 + 2)


def test_the_sums_of_two_add_up_to_those_of_both():
    x = potentials()
    whole, first, second = sums(0.5), sums(0.5), sums(0.5)
    whole(x[:, :2])
    whole(x[:, 2:])
    first(x[:, :2])
    second(x[:, 2:])
    together = first.stats(first.sums() + second.sums())
    expected = whole.stats()
    assert together.samples == expected.samples == 5
    assert torch.equal(together.score, expected.score)
    assert torch.equal(together.rate, expected.rate)
    torch.testing.assert_close(together.moments, expected.moments)


def test_a_resumed_sum_ends_the_same():
    x = potentials()
    whole, first, second = sums(0.5), sums(0.5), sums(0.5)
    for part in x.split((2, 3), dim=1):
        whole(part)
    assert first.state_dict() == {}
    first(x[:, :2])
    second.load_state_dict(first.state_dict())
    second(x[:, 2:])
    one, two = whole.stats(), second.stats()
    assert torch.equal(one.score, two.score)
    assert all(torch.equal(a, b) for a, b in zip(one.potential, two.potential, strict=True))
    assert (second.total, two.samples) == (whole.total, 5)
    third = sums(0.5)
    third.load_state_dict({})
    assert third.total == 0


@pytest.mark.parametrize("train", [True, False])
def test_a_forward_in_the_other_mode_is_left_out(train):
    node = nn.Identity()
    streamed = sums(neuron=node, train=train, traceable=True)
    node.train(not train)
    streamed(potentials())
    assert streamed.total == 0
    assert streamed.fold(T) is None
    node.train(train)
    streamed(potentials())
    assert streamed.total == T
    assert streamed.fold(T) is not None


def test_only_whole_sequences_are_folded():
    assert sums(traceable=False).fold(T) is None
    assert sums(traceable=True, threshold=0.5).fold(T) is None  # moments need the potentials
    streamed = sums(traceable=True)
    assert streamed.fold(2 * T) is None
    fold = streamed.fold(T)
    assert (fold.curve, fold.time) == (ATAN, "mean")
    streamed(potentials()[:1])
    assert streamed.fold(T) is None  # in the middle of a sequence


def test_an_unfinished_sequence_is_refused():
    streamed = sums()
    streamed(potentials()[:3])
    with pytest.raises(ObservationError, match=r"'n' to record a multiple of T = 4 .* got 3"):
        streamed.reset()
    with pytest.raises(ObservationError, match="multiple of T = 4"):
        streamed.state_dict()
    with pytest.raises(ObservationError, match=r"\(5, 3, 2, 2\) in every step.*got \(2, 3, 2, 2\)"):
        streamed(potentials()[:1, :2])


# -- folded over time by a compiled neuron, against the eager one ------------------------------


@pytest.fixture
def compiler():
    reason = kernels.obstacle()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def kinds(monkeypatch, compiler):
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


def observed(model, batches, *, moments=False, **options):
    with Observer(
        model,
        CriticalityOptions(**options),
        time_steps=T,
        train=model.training,
        moments=moments,
    ) as observer:
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


@pytest.mark.slow
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("space", ["max", "mean"])
@pytest.mark.parametrize("time", ["max", "mean"])
def test_folded_scores_are_those_of_the_potentials(time, space, train, kinds):
    assert_same(*both(train=train, time=time, space=space))
    assert folded(kinds) == [True] * 4
    assert not any(kind.observed for kind in kinds)


@pytest.mark.slow
@pytest.mark.parametrize(("curve", "value"), [("tanh", "derivative"), ("triangle", "primitive")])
def test_named_curves_are_folded(curve, value, kinds):
    assert_same(*both(curve=curve, value=value))
    assert all(folded(kinds))


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
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


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_surrogate_without_a_closed_form_goes_by_the_potentials(kinds):
    eager, compiled = both(lambda: net(surrogate.QPseudoSpike()))
    assert_same(eager, compiled)
    assert not any(kind.folded for kind in kinds if kind.form.dynamics.reset is not None)


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
def test_a_folded_forward_in_the_other_mode_is_left_out():
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
