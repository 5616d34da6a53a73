import copy
from contextlib import contextmanager

import pytest
import torch
from spikingjelly.activation_based import base, functional, layer, neuron, surrogate
from torch import nn

from spikeprune.adapters.registry import spiking_neurons
from spikeprune.adapters.spikingjelly.adapter import ADAPTER
from spikeprune.errors import ModelError, ObservationError

T, B, C = 3, 2, 4
MODES = ("s", "m")


def run(module, x):
    """Run [T, B, C, ...] in the module's own step mode."""
    if getattr(module, "step_mode", "m") == "m":
        return module(x)
    return torch.stack([module(step) for step in x])


def record(module, x):
    seen = []
    with ADAPTER.observe(module, seen.append, lambda: None):
        spikes = run(module, x)
    return torch.cat(seen), spikes


# Potentials worked out by hand: neuron, inputs, charged potential H per step. A spike is where H
# reaches the threshold; the next potential starts from 0 (hard) or from H - threshold (soft).
HARD, SOFT = 0.0, None
HAND = {
    "IF hard": (
        lambda **k: neuron.IFNode(v_reset=HARD, **k),
        [0.6, 0.6, 0.3, 0.9],
        [0.6, 1.2, 0.3, 1.2],
    ),
    "IF soft": (
        lambda **k: neuron.IFNode(v_reset=SOFT, **k),
        [0.6, 0.6, 0.3, 0.9],
        [0.6, 1.2, 0.5, 1.4],
    ),
    "IF threshold 0.5, reset to -0.25": (
        lambda **k: neuron.IFNode(v_threshold=0.5, v_reset=-0.25, **k),
        [0.5, 0.5, 0.25, 0.5],
        [0.25, 0.75, 0.0, 0.5],
    ),
    # H = V + (x - V) / 2
    "LIF hard": (
        lambda **k: neuron.LIFNode(v_reset=HARD, **k),
        [1.5, 1.5, 1.5, 2],
        [0.75, 1.125, 0.75, 1.375],
    ),
    "LIF soft": (
        lambda **k: neuron.LIFNode(v_reset=SOFT, **k),
        [1.5, 1.5, 1.5, 2],
        [0.75, 1.125, 0.8125, 1.40625],
    ),
    # H = V / 2 + x
    "LIF input kept, hard": (
        lambda **k: neuron.LIFNode(decay_input=False, v_reset=HARD, **k),
        [0.75, 0.75, 0.5, 1],
        [0.75, 1.125, 0.5, 1.25],
    ),
    "LIF input kept, soft": (
        lambda **k: neuron.LIFNode(decay_input=False, v_reset=SOFT, **k),
        [0.75, 0.75, 0.5, 1],
        [0.75, 1.125, 0.5625, 1.28125],
    ),
    "PLIF hard": (
        lambda **k: neuron.ParametricLIFNode(v_reset=HARD, **k),
        [1.5, 1.5, 1.5, 2],
        [0.75, 1.125, 0.75, 1.375],
    ),
    "PLIF soft": (
        lambda **k: neuron.ParametricLIFNode(v_reset=SOFT, **k),
        [1.5, 1.5, 1.5, 2],
        [0.75, 1.125, 0.8125, 1.40625],
    ),
    "PLIF input kept, soft": (
        lambda **k: neuron.ParametricLIFNode(decay_input=False, v_reset=SOFT, **k),
        [0.75, 0.75, 0.5, 1],
        [0.75, 1.125, 0.5625, 1.28125],
    ),
}


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", HAND)
def test_potentials_are_charged_and_before_reset(kind, mode, train):
    make, inputs, charged = HAND[kind]
    module = make(step_mode=mode).train(train)
    x = torch.tensor(inputs).view(-1, 1, 1).expand(-1, B, C)
    potentials, spikes = record(module, x)
    expected = torch.tensor(charged) - module.v_threshold
    torch.testing.assert_close(potentials[:, 0, 0], expected)
    torch.testing.assert_close(potentials, expected.view(-1, 1, 1).expand(-1, B, C))
    assert torch.equal(spikes, (potentials >= 0).float())


CHARGED = {  # neurons whose charged potential is in their memory `v` when they cannot fire
    "SimpleIF": lambda **k: neuron.SimpleIFNode(**k),
    "SimpleLIF": lambda **k: neuron.SimpleLIFNode(2.0, True, **k),
    "IF": lambda **k: neuron.IFNode(**k),
    "LIF": lambda **k: neuron.LIFNode(1.5, False, v_reset=None, **k),
    "PLIF": lambda **k: neuron.ParametricLIFNode(3.0, **k),
    "HalfThresholdIF": lambda **k: neuron.HalfThresholdIFNode(**k),
    "KLIF": lambda **k: neuron.KLIFNode(**k),
    "QIF": lambda **k: neuron.QIFNode(**k),
    "EIF": lambda **k: neuron.EIFNode(**k),
    "Izhikevich": lambda **k: neuron.IzhikevichNode(a=0.1, b=0.1, **k),
    "RAF": lambda **k: neuron.RAFNode(**k),
    "CUBALIF": lambda step_mode: in_mode(neuron.CUBALIFNode(), step_mode),
}
OTHERS = {
    "ComplementaryLIF": lambda **k: neuron.ComplementaryLIFNode(**k),
    "ActivationAwareIF": lambda **k: neuron.ActivationAwareIFNode(
        torch.linspace(0.5, 2, C), channel_dim=1, **k
    ),
    "MPBNLIF": lambda **k: neuron.MPBNLIFNode(out_channels=C, **k),
    "GatedLIF": lambda step_mode: neuron.GatedLIFNode(T, C),
    "PSN": lambda step_mode: neuron.PSN(T),
    "MaskedPSN": lambda **k: neuron.MaskedPSN(2, T, lambda_init=1.0, **k),
    "SlidingPSN": lambda **k: neuron.SlidingPSN(2, **k),
}
ONLY_MULTI_STEP = ("GatedLIF", "PSN")
KINDS = [(k, m) for k in (*CHARGED, *OTHERS) for m in MODES if m == "m" or k not in ONLY_MULTI_STEP]


def in_mode(module, mode):
    module.step_mode = mode
    return module


def cannot_fire(module):
    twin = copy.deepcopy(module)
    twin.v_threshold = 1e30
    twin.step_mode = "s"
    return twin


@pytest.mark.parametrize("kind", CHARGED)
def test_potentials_equal_the_state_of_a_neuron_that_cannot_fire(kind):
    """Independent of the surrogate: step by step, the state before is given to such a neuron."""
    torch.manual_seed(1)
    module = CHARGED[kind](step_mode="s")
    x = 1.5 * torch.randn(6, B, C, 2, 2)
    potentials, spikes = record(module, x)
    functional.reset_net(module)
    assert 0 < spikes.mean() < 1
    with torch.no_grad():
        for step, potential in zip(x, potentials, strict=True):
            mute = cannot_fire(module)
            mute(step)
            torch.testing.assert_close(mute.v - module.v_threshold, potential)
            module(step)


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_every_kind_of_neuron_records_when_it_fires_and_fires_as_before(kind, mode, train):
    torch.manual_seed(2)
    module = {**CHARGED, **OTHERS}[kind](step_mode=mode).train(train)
    assert ADAPTER.matches(module)
    x, twin = 1.5 * torch.randn(T, B, C, 2, 2), copy.deepcopy(module)
    drives = [x.clone().requires_grad_() for _ in range(2)]
    potentials, spikes = record(module, drives[0])
    expected = run(twin, drives[1])
    assert potentials.shape == x.shape
    assert torch.equal((potentials >= 0).float(), spikes.detach())
    assert torch.equal(spikes, expected)
    if expected.requires_grad:
        for out, drive in ((spikes, drives[0]), (expected, drives[1])):
            (out * x).sum().backward(inputs=[drive])
        assert torch.equal(drives[0].grad, drives[1].grad)
    for ours, theirs in zip(module.buffers(), twin.buffers(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("mode", MODES)
def test_both_step_modes_record_equal_potentials(mode):
    torch.manual_seed(3)
    x = torch.randn(T, B, C)
    single, _ = record(neuron.LIFNode(step_mode="s"), x)
    other, _ = record(neuron.LIFNode(step_mode=mode), x)
    assert torch.equal(single, other)


def test_neurons_that_share_the_default_surrogate_are_recorded_apart():
    first, second = neuron.IFNode(), neuron.IFNode()
    assert first.surrogate_function is second.surrogate_function
    seen = []
    with ADAPTER.observe(first, seen.append, lambda: None):
        first(torch.full((B, C), 0.25))
        second(torch.full((B, C), 5.0))
    assert torch.equal(torch.cat(seen), torch.full((1, B, C), -0.75))


def test_two_observers_see_the_same_and_may_leave_in_any_order():
    module, seen, also = neuron.IFNode(), [], []
    first = ADAPTER.observe(module, seen.append, lambda: None)
    second = ADAPTER.observe(module, also.append, lambda: None)
    first.__enter__()
    second.__enter__()
    module(torch.ones(B, C))
    first.__exit__(None, None, None)
    module(torch.ones(B, C))
    second.__exit__(None, None, None)
    module(torch.ones(B, C))
    assert (len(seen), len(also)) == (1, 2)
    assert not module._forward_pre_hooks


def test_a_surrogate_may_be_a_plain_function():
    module = neuron.IFNode(surrogate_function=surrogate.heaviside)
    potentials, spikes = record(module, torch.randn(T, B, C))
    assert torch.equal((potentials >= 0).float(), spikes)
    with pytest.raises(ModelError, match="smooth forward value, got <function heaviside"):
        ADAPTER.primitive(module)


def test_a_surrogate_without_a_smooth_value_is_refused():
    module = neuron.IFNode(surrogate_function=surrogate.FakeNumericalGradient())
    with pytest.raises(ModelError, match="score with value='derivative'"):
        ADAPTER.primitive(module)


class TwoThresholds(neuron.SimpleIFNode):
    """Compares twice per step: which of the two is its potential nobody can know."""

    def neuronal_fire(self):
        return self.surrogate_function(self.v - 1) - self.surrogate_function(-self.v - 1)


class Summed(neuron.SimpleIFNode):
    """Compares one number per sample with its threshold."""

    def neuronal_fire(self):
        return self.surrogate_function(self.v.sum(1, keepdim=True) - 1).expand_as(self.v)


class Silent(neuron.SimpleIFNode):
    """Has a surrogate and does not call it."""

    def neuronal_fire(self):
        return (self.v >= self.v_threshold).to(self.v)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (TwoThresholds, "TwoThresholds .* in each of 1 time steps, got 2 times"),
        (Summed, r"of shape \(2, 4\) .* got \(2, 1\)"),
        (Silent, "Silent .* in each of 1 time steps, got 0 times"),
    ],
)
def test_a_neuron_that_records_something_else_is_an_error(kind, message):
    with pytest.raises(ObservationError, match=message):
        record(kind(), torch.randn(T, B, C))


class FusedIF(neuron.IFNode):
    """Stands for a neuron whose steps run inside of one kernel, which can hand out potentials."""

    def __init__(self):
        super().__init__(step_mode="m", v_reset=None)
        self.sinks = []

    def multi_step_forward(self, x_seq):
        v, spikes = torch.zeros_like(x_seq[0]), []
        for x in x_seq:
            h = v + x
            spikes.append((h >= 1).float())
            v = h - spikes[-1]
            for sink in self.sinks:
                sink((h - 1).detach().unsqueeze(0))
        return torch.stack(spikes)

    @contextmanager
    def observe_potential(self, sink):
        self.sinks.append(sink)
        try:
            yield
        finally:
            self.sinks.remove(sink)


def test_a_neuron_may_hand_out_its_potentials_itself():
    assert ADAPTER.matches(FusedIF())
    module, x, resets = FusedIF(), torch.rand(T, B, C), []
    seen = []
    with ADAPTER.observe(module, seen.append, lambda: resets.append(1)):
        spikes = module(x)
        functional.reset_net(module)
    plain, expected = record(neuron.IFNode(step_mode="m", v_reset=None), x)
    assert torch.equal(torch.cat(seen), plain)
    assert torch.equal(spikes, expected)
    assert resets == [1]
    assert module.sinks == []


class OneOfAll(FusedIF):
    """Hands out the first step only."""

    @contextmanager
    def observe_potential(self, sink):
        with super().observe_potential(lambda x: self.v == 0.0 and sink(x)):
            yield

    def multi_step_forward(self, x_seq):
        first = super().multi_step_forward(x_seq[:1])
        self.v = 1.0
        return torch.cat([first, super().multi_step_forward(x_seq[1:])])


def test_a_neuron_that_hands_out_too_little_is_an_error():
    module = OneOfAll()
    module.v = 0.0
    with (
        pytest.raises(ObservationError, match="in each of 3 time steps, got 1 times"),
        ADAPTER.observe(module, lambda _: None, lambda: None),
    ):
        module(torch.rand(T, B, C))
    assert not module._forward_pre_hooks
    assert not module._forward_hooks


def test_resets_are_seen_through_every_way_of_resetting():
    module, resets = neuron.IFNode(), []
    functional.reset_net(module)  # fills SpikingJelly's cache of modules
    with ADAPTER.observe(module, lambda _: None, lambda: resets.append(1)):
        module.reset()
        functional.reset_net(module)
        ADAPTER.reset(module)
    assert len(resets) == 3
    assert "reset" not in vars(module)


def test_threshold():
    assert ADAPTER.threshold(neuron.LIFNode(v_threshold=0.5)) == 0.5
    assert ADAPTER.threshold(neuron.ActivationAwareIFNode(2.0)) == 2.0
    for module in (
        neuron.ActivationAwareIFNode(torch.ones(C), channel_dim=1),
        neuron.GatedLIFNode(T),  # its parameter is the threshold's logit
        neuron.PSN(T),
    ):
        with pytest.raises(ModelError, match="one fixed number"):
            ADAPTER.threshold(module)


def test_channel_state():
    assert ADAPTER.channel_state(neuron.ParametricLIFNode()) == ()
    assert ADAPTER.channel_state(neuron.PSN(T)) == ()
    assert ADAPTER.channel_state(neuron.SlidingPSN(2)) == ()
    assert ADAPTER.channel_state(neuron.GatedLIFNode(T)) == ()
    aware = neuron.ActivationAwareIFNode(torch.ones(C), channel_dim=1)
    assert ADAPTER.channel_state(aware) == ("v_threshold",)
    mpbn = ADAPTER.channel_state(neuron.MPBNLIFNode(out_channels=C))
    assert mpbn == ("vbn.weight", "vbn.bias", "vbn.running_mean", "vbn.running_var")
    with pytest.raises(ModelError, match=r"got conduct of shape \(3, 4\)"):
        ADAPTER.channel_state(neuron.GatedLIFNode(T, C))


def test_tracing_reaches_inside_of_modules_that_know_only_many_steps():
    model = nn.Sequential(
        layer.SeqToANNContainer(nn.Conv2d(2, C, 3), nn.BatchNorm2d(C)),
        layer.ThresholdDependentBatchNorm2d(1.0, 1.0, C),
        layer.MultiStepContainer(neuron.IFNode()),
        layer.Delay(2, step_mode="m"),
        layer.SynapseFilter(step_mode="m"),
    )
    model(torch.randn(T, B, 2, 5, 5))
    states = [m._memories for m in model.modules() if isinstance(m, base.MemoryModule)]
    kept = [dict(s) for s in states]
    with ADAPTER.tracing(model):
        out = model(torch.randn(1, 2, 5, 5))
    assert out.shape == (1, C, 3, 3)
    assert [name for name, m in model.named_modules() if "forward" in vars(m)] == []
    for state, before in zip(states, kept, strict=True):
        assert all(state[name] is value for name, value in before.items())
    assert model(torch.randn(T, B, 2, 5, 5)).shape == (T, B, C, 3, 3)
    assert list(spiking_neurons(model)) == ["2.0"]


def test_mixed_step_modes_come_back_as_they_were():
    model = nn.Sequential(neuron.IFNode(step_mode="s"), neuron.IFNode(step_mode="m"), nn.Dropout())
    model[2].eval()
    with ADAPTER.tracing(model):
        assert [m.step_mode for m in model[:2]] == ["s", "s"]
        assert not any(m.training for m in model.modules())
    assert [m.step_mode for m in model[:2]] == ["s", "m"]
    assert [m.training for m in model] == [True, True, False]


def test_gradients_of_a_whole_net_are_the_same_bit_for_bit():
    torch.manual_seed(4)
    model = nn.Sequential(
        layer.Conv2d(2, C, 3), layer.BatchNorm2d(C), neuron.LIFNode(), neuron.IFNode()
    )
    functional.set_step_mode(model, "m")
    x, twin = torch.randn(T, B, 2, 5, 5), copy.deepcopy(model)
    with ADAPTER.observe(model[2], lambda _: None, lambda: None):
        model(x).sum().backward()
    twin(x).sum().backward()
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)
