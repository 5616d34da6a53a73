"""The observer against stored potentials, and that it leaves nothing behind."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn
from torch.utils.checkpoint import checkpoint

from spikeprune import zoo
from spikeprune.adapters.registry import adapter_for, spiking_neurons
from spikeprune.errors import ConfigError, ModelError, ObservationError
from spikeprune.execution.forward import forward
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.observing.observer import Observer, score_loader
from spikeprune.science.criticality import channel_criticality
from spikeprune.science.surrogate import model_curve, named_curve

T = 4


def net(mode="m", node=neuron.LIFNode):
    torch.manual_seed(0)
    model = nn.Sequential(
        layer.Conv2d(2, 3, 3, padding=1),
        layer.BatchNorm2d(3),
        node(surrogate_function=surrogate.ATan()),
        layer.Flatten(),
        layer.Linear(48, 5),
        neuron.IFNode(),
    )
    functional.set_step_mode(model, mode)
    with torch.no_grad():
        model[0].weight.mul_(4)
        model[4].weight.mul_(4)
    return model


def batch(size=6, seed=0):
    return torch.randn(T, size, 2, 4, 4, generator=torch.Generator().manual_seed(seed))


def run(model, x):
    functional.reset_net(model)
    if model[0].step_mode == "m":
        return model(x)
    return torch.stack([model(step) for step in x])


def potentials(model, x):
    """All potentials stored: the slow reference."""
    seen = {}
    adapter = adapter_for(model)
    for name, module in spiking_neurons(model).items():
        seen[name] = []
        with adapter.observe(module, seen[name].append, lambda: None):
            run(model, x)
    return {name: torch.cat(parts) for name, parts in seen.items()}


def watched(model, *batches, **options):
    chosen = CriticalityOptions(**options)
    with Observer(model, chosen, time_steps=T, train=model.training) as observer:
        for x in batches:
            run(model, x)
    return observer.compute()


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name].score, theirs[name].score)
        torch.testing.assert_close(ours[name].rate, theirs[name].rate)
        assert ours[name].samples == theirs[name].samples


# -- what is computed ------------------------------------------------------------------------


def test_a_surrogate_is_taken_as_it_is_when_arming():
    model = net().eval()
    observer = Observer(model, time_steps=T, train=False)
    model[2].surrogate_function.alpha = 5.0
    with observer:
        run(model, batch())
    curve = model_curve(surrogate.ATan(alpha=5.0))
    expected = channel_criticality(potentials(model, batch())["2"], curve)
    torch.testing.assert_close(observer.compute()["2"].score, expected)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize(("space", "time"), [("max", "mean"), ("mean", "mean"), ("mean", "max")])
def test_streaming_equals_storing(space, time, mode, train):
    model = net(mode).train(train)
    x = batch()
    stats = watched(model, x, space=space, time=time)
    stored = potentials(model, x)
    assert list(stats) == ["2", "5"]
    for name, module in spiking_neurons(model).items():
        curve = model_curve(module.surrogate_function)
        expected = channel_criticality(stored[name], curve, space=space, time=time)
        torch.testing.assert_close(stats[name].score, expected)
        dims = (0, 1, *range(3, stored[name].ndim))
        torch.testing.assert_close(stats[name].rate, (stored[name] >= 0).float().mean(dims))
        assert stats[name].samples == 6


def test_hand_worked_score_and_rate():
    """One IF channel, one sample: potentials 0.5, 1.0 and again 0.5, 1.0, threshold 1."""
    model = nn.Sequential(layer.Linear(1, 1, bias=False), neuron.IFNode())
    model[0].weight.data.fill_(0.5)
    functional.set_step_mode(model, "m")
    with Observer(
        model, CriticalityOptions(curve="triangle"), time_steps=4, train=True
    ) as observer:
        model(torch.ones(4, 1, 1))
    stats = observer.compute()["1"]
    assert stats.score.tolist() == [0.75]
    assert stats.rate.tolist() == [0.5]
    assert stats.samples == 1


def test_values_and_named_curves():
    model = net()
    x = batch()
    stored = potentials(model, x)["2"]
    for options, curve in (
        ({"curve": "tanh"}, named_curve("tanh")),
        ({"curve": "sigmoid", "value": "primitive"}, named_curve("sigmoid", "primitive")),
        ({"value": "primitive"}, surrogate.ATan(spiking=False)),
    ):
        score = watched(model, x, **options)["2"].score
        torch.testing.assert_close(score, channel_criticality(stored, curve))


@settings(deadline=None, max_examples=15)
@given(cuts=st.sets(st.integers(1, 11), max_size=4), seed=st.integers(0, 99))
def test_scores_do_not_depend_on_order_or_batches_in_eval_mode(cuts, seed):
    model = net().eval()
    x = batch(12)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    sizes = torch.tensor([0, *sorted(cuts), 12]).diff().tolist()
    assert_same(watched(model, *x[:, order].split(sizes, 1)), watched(model, x))


def test_a_sequence_twice_as_long_counts_as_two():
    model = net()
    with Observer(model, time_steps=T, train=True) as observer:
        functional.reset_net(model)
        model(torch.cat([batch(), batch(seed=1)]))
    assert observer.compute()["2"].samples == 12


def test_neurons_without_state_are_scored_beside_others():
    model = net(node=lambda **k: neuron.PSN(T, **k))
    assert watched(model, batch(), batch(3))["2"].samples == 9


def test_moments_are_recorded_if_asked_for():
    model, x = net(), batch()
    with Observer(model, time_steps=T, train=True, moments=True) as observer:
        run(model, x)
    stats = observer.compute()
    for name, stored in potentials(model, x).items():
        dims = (0, 1, *range(3, stored.ndim))
        found = stats[name].potential
        torch.testing.assert_close(found.mean, stored.mean(dims))
        torch.testing.assert_close(found.size, (stored + 1).abs().mean(dims))  # V_th is 1
    assert watched(model, x)["2"].moments is None


def test_half_precision_potentials_give_finite_single_precision_scores():
    model = net().to(torch.bfloat16)
    stats = watched(model, batch().to(torch.bfloat16))
    assert stats["2"].score.dtype == torch.float32
    assert stats["2"].score.isfinite().all()


# -- what is left alone ----------------------------------------------------------------------


def test_training_steps_are_the_same_with_and_without():
    x = batch()
    models = net(), net()
    observer = Observer(models[0], time_steps=T, train=True)
    for step in range(3):
        for model in models:
            if model is models[0] and step == 1:
                observer.arm()
            model.zero_grad()
            run(model, x).mean(0).square().sum().backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.1 * parameter.grad
        observer.disarm()
    for ours, theirs in zip(*(m.state_dict().values() for m in models), strict=True):
        assert torch.equal(ours, theirs)
    assert observer.compute()["2"].samples == 6


def test_forwards_in_the_other_mode_are_left_out():
    model = net()
    with Observer(model, time_steps=T, train=True) as observer:
        run(model.train(), batch())
        run(model.eval(), batch(5, seed=1))
        functional.reset_net(model)
        model.train()
    assert observer.compute()["2"].samples == 6


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpointed_forward_is_recorded_once(reentrant):
    model, x, stats = net(), batch().requires_grad_(), []

    def forward(x):
        return run(model, x)

    for call in (forward, lambda x: checkpoint(forward, x, use_reentrant=reentrant)):
        model[1].reset_running_stats()
        with Observer(model, time_steps=T, train=True) as observer:
            call(x).sum().backward()
        stats.append(observer.compute())
    for name, plain in stats[0].items():
        assert torch.equal(stats[1][name].score, plain.score)
        assert stats[1][name].samples == plain.samples == 6


def test_nothing_is_recorded_after_disarming_and_arming_starts_anew():
    model = net()
    observer = Observer(model, time_steps=T, train=True)
    run(model, batch())
    observer.arm()
    run(model, batch(5))
    observer.disarm()
    run(model, batch())
    assert observer.compute()["2"].samples == 5
    observer.arm()
    run(model, batch(3))
    assert observer.compute()["2"].samples == 3
    observer.disarm()


def hooks(model):
    return {
        name: (set(vars(m)), len(m._forward_hooks), len(m._forward_pre_hooks), dict(m._modules))
        for name, m in model.named_modules()
    }


def test_nothing_survives_an_exception():
    model = net()
    before = hooks(model)
    observer = Observer(model, time_steps=T, train=True)
    with pytest.raises(RuntimeError, match=r"size|shape|dim"), observer:
        run(model, batch()[:, :, :1])
    assert hooks(model) == before
    assert not observer.armed
    assert_same(watched(model, batch()), watched(net(), batch()))


def test_nothing_stays_when_arming_fails_half_way(monkeypatch):
    model = net()
    before = hooks(model)
    observer = Observer(model, time_steps=T, train=True)
    adapter = adapter_for(model)
    real, calls = adapter.observe, []

    def failing(*args):
        calls.append(args)
        if len(calls) == 2:
            raise RuntimeError("second neuron")
        return real(*args)

    monkeypatch.setattr(type(adapter), "observe", lambda _, *args: failing(*args))
    with pytest.raises(RuntimeError, match="second neuron"):
        observer.arm()
    assert hooks(model) == before
    assert not observer.armed


# -- counting time steps ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["s", "m"])
def test_another_number_of_steps_between_resets_is_an_error(mode):
    model = net(mode)
    run(model, batch())
    with Observer(model, time_steps=3, train=True):
        run(model, batch())
        with pytest.raises(ObservationError, match=r"neuron '2' .* multiple of T = 3 .* got 4"):
            functional.reset_net(model)


def test_another_number_of_steps_is_an_error_without_a_reset_too():
    model = net()
    with Observer(model, time_steps=8, train=True) as observer:
        run(model, batch())
    with pytest.raises(ObservationError, match=r"multiple of T = 8 time steps .* got 4"):
        observer.compute()


def test_a_neuron_that_ran_less_often_is_named():
    model = net()
    with Observer(model, time_steps=T, train=True) as observer:
        run(model, batch())
        model[:3](batch())
    with pytest.raises(ObservationError, match="neuron '5' to record 8 time steps, got 4"):
        observer.compute()


def test_nothing_recorded_is_an_error_that_names_the_mode():
    model = net().eval()
    with Observer(model, time_steps=T, train=True) as observer:
        run(model, batch())
    with pytest.raises(ObservationError, match=r"'2' to record some time steps, got 0.*training"):
        observer.compute()
    with pytest.raises(ObservationError, match="'2' to record some time steps, got 0"):
        Observer(model, time_steps=T, train=True).compute()


def test_another_batch_in_the_middle_of_a_sequence_is_an_error():
    model = net("s")
    with Observer(model, time_steps=T, train=True):
        model(batch()[0])
        with pytest.raises(ObservationError, match="middle of one"):
            model(batch(1)[0])


# -- options ---------------------------------------------------------------------------------


def test_a_curve_that_is_not_peaked_is_refused_with_the_neuron():
    model = net(
        node=lambda surrogate_function: neuron.IFNode(surrogate_function=surrogate.LeakyKReLU())
    )
    with pytest.raises(ConfigError, match="neuron '2': a criticality curve must be peaked"):
        Observer(model, time_steps=T, train=True)
    Observer(model, CriticalityOptions(curve="atan"), time_steps=T, train=True)


def test_options_are_checked_before_anything_runs():
    with pytest.raises(ConfigError, match="at least one time step, got time_steps=0"):
        Observer(net(), time_steps=0, train=True)


def test_opaque_neurons_are_refused():
    with pytest.raises(ModelError, match="TernaryIFNode"):
        Observer(nn.Sequential(neuron.TernaryIFNode()), time_steps=T, train=True)


# -- resuming --------------------------------------------------------------------------------


def test_a_resumed_observer_ends_with_the_same_stats():
    model = net()
    whole = watched(copy.deepcopy(model), batch(), batch(3, seed=1))
    first = Observer(model, time_steps=T, train=True)
    second = Observer(model, time_steps=T, train=True)
    first.arm()
    run(model, batch())
    state = copy.deepcopy(first.state_dict())
    first.disarm()
    second.load_state_dict(state)
    assert second.armed
    run(model, batch(3, seed=1))
    resumed = second.compute()
    for name in whole:
        assert torch.equal(resumed[name].score, whole[name].score)
        assert torch.equal(resumed[name].rate, whole[name].rate)
    second.load_state_dict(Observer(model, time_steps=T, train=True).state_dict())
    assert not second.armed


def test_a_fresh_arming_survives_a_round_trip():
    model = net()
    first = Observer(model, time_steps=T, train=True)
    first.arm()
    second = Observer(model, time_steps=T, train=True)
    second.load_state_dict(first.state_dict())
    first.disarm()
    run(model, batch())
    assert second.compute()["2"].samples == 6
    second.disarm()


# -- loaders ---------------------------------------------------------------------------------


def test_a_loader_is_scored_in_eval_mode_without_gradients():
    model = net().train()
    model[1].eval()
    grads = []

    def forward(x):
        grads.append(torch.is_grad_enabled())
        return run(model, x)

    pairs = [(batch(), torch.zeros(6)), (batch(2, seed=1), torch.zeros(2))]
    statistics = model[1].running_mean.clone()
    stats = score_loader(model, pairs, time_steps=T, forward=forward)
    assert grads == [False, False]
    assert [m.training for m in model.children()] == [True, False, True, True, True, True]
    assert torch.equal(model[1].running_mean, statistics)
    assert_same(stats, watched(model.eval(), batch(), batch(2, seed=1)))


def test_an_empty_loader_is_an_error_and_modes_come_back():
    model = net().train()
    with pytest.raises(ObservationError, match="eval mode"):
        score_loader(model, [], time_steps=T, forward=model)
    assert all(m.training for m in model.modules())


@pytest.mark.parametrize("channels_last", [False, True])
def test_scores_do_not_depend_on_the_number_of_threads(channels_last):
    """In eval mode where channels are last: there BatchNorm sums a batch by threads in training."""
    facts = {"classes": 10, "in_channels": 1, "image_size": 12, "time_steps": 2}
    model = zoo.build("vgg-small", widths=[16, 32], strides=[1, 2], **facts)
    x = torch.randn(16, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    if channels_last:
        model = model.to(memory_format=torch.channels_last).eval()
        x = x.to(memory_format=torch.channels_last)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            observer = Observer(model, time_steps=2, train=model.training, moments=True)
            with torch.no_grad(), observer:
                forward(model, x, time_steps=2)
            found.append(observer.compute())
    finally:
        torch.set_num_threads(before)
    for name, one in found[0].items():
        for a, b in zip(flat(one), flat(found[1][name]), strict=True):
            assert torch.equal(a, b), name


def flat(stats):
    return (stats.score, stats.rate, *stats.potential)
