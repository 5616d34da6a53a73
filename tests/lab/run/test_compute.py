"""How a run's nets compute: memory layout through a whole step, precision, first layers."""

from dataclasses import replace

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from spikeprune import zoo
from spikeprune.adapters.registry import spiking_neurons
from spikeprune.lab.run.compute import (
    channels_last,
    first_layers_run_once,
    place,
    static_obstacle,
)
from spikeprune.lab.run.session import Session
from spikeprune.lab.settings.config import RunConfig
from spikeprune.wiring.trace import trace

T, B = 3, 4


def config(**values):
    return RunConfig.from_dict(
        {"data": "digits", "model": "vgg-small", "precision": "fp32", "time_steps": T} | values
    )


def vgg(channels):
    torch.manual_seed(0)
    return zoo.build(
        "vgg-small", classes=5, in_channels=channels, image_size=8, time_steps=T, widths=(4, 6, 8),
        strides=(1, 2, 1), head="flatten",
    )  # fmt: skip


def is_last(x):
    """Whether every frame has its channels next to each other, and not its pixels."""
    frames = x.dim() < 5 or x.stride(0) in (0, x[0].numel())
    return frames and x.stride(-3) == 1 and x.stride(-1) != 1


@pytest.mark.parametrize("shape", [(B, 3, 5, 6), (T, B, 2, 5, 6), (B, 1, 5, 6), (B, 7), (T, B, 7)])
def test_inputs_keep_their_values_and_get_their_channels_last(shape):
    x = torch.randn(shape)
    moved = channels_last(x)
    assert torch.equal(moved, x)
    if len(shape) > 3 and shape[-3] > 1:
        assert is_last(moved)
    assert channels_last(moved).data_ptr() == moved.data_ptr()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("channels", "events"), [(1, False), (3, False), (1, True), (2, True)])
def test_channels_stay_last_from_the_first_layer_on_and_back(precision, channels, events):
    one = Session(config(precision=precision))
    model = place(vgg(channels), one.config, hoisted=True).train()
    x = channels_last(torch.rand(*((T, B) if events else (B,)), channels, 8, 8))
    lost = []

    def watch(name):
        def note(module, args, output):
            def gradient(g):
                if not is_last(g):
                    lost.append(f"gradient at {name}")

            if output.dim() == 5:
                output.register_hook(gradient)
                if not is_last(output):
                    lost.append(name)

        return note

    for name, module in model.named_modules():
        if name.startswith(("stem.", "body.")) and "surrogate" not in name:
            module.register_forward_hook(watch(name))
    one.loss(one.forward(model)(x), torch.zeros(B, dtype=torch.long)).backward()
    # The last neuron's gradient comes from a flatten, which orders it by channels. The first
    # layer's exists only because it is listened to here.
    assert set(lost) <= {"gradient at body.spike3", "gradient at stem.conv"}


def test_the_layout_changes_nothing_but_rounding():
    x, y = torch.rand(B, 1, 8, 8), torch.arange(B)
    found = []
    for last in (True, False):
        one = Session(config(channels_last=last))
        model = place(vgg(1), one.config, hoisted=True).train()
        one.loss(one.forward(model)(channels_last(x) if last else x), y).backward()
        found.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


def test_training_forwards_are_in_the_run_s_precision_and_eval_is_float32():
    one = Session(config(precision="bf16"))
    model = place(vgg(1), one.config, hoisted=True)
    types = []
    model.head.classifier.register_forward_hook(lambda m, args, out: types.append(out.dtype))
    x = torch.rand(B, 1, 8, 8)
    logits = [one.forward(model.train(mode))(x) for mode in (True, False)]
    assert types == [torch.bfloat16, torch.float32]
    assert {value.dtype for value in logits} == {torch.float32}
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("fuse", [True, False])
def test_potentials_stay_float32_in_half_precision(fuse):
    one = Session(config(precision="bf16", fuse=fuse))
    model = place(place(vgg(1), one.config, hoisted=True), one.config, hoisted=True).train()
    one.forward(model)(torch.rand(B, 1, 8, 8))
    assert {node.v.dtype for node in spiking_neurons(model).values()} == {torch.float32}


class Changing(nn.Module):
    """Changes in place, or views across time, what its first layer gives out."""

    def __init__(self, how):
        super().__init__()
        self.conv = layer.Conv2d(1, 4, 3, padding=1)
        self.rest = nn.Sequential(neuron.LIFNode(), layer.Flatten(), layer.Linear(4 * 64, 5))
        self.how = how
        functional.set_step_mode(self, "m")

    def forward(self, x):
        h = self.conv(x)
        if self.how == "in place":
            h.mul_(2)
        if self.how == "view":
            h = h.view(-1, *h.shape[2:]).view(h.shape)
        if self.how == "broken":
            raise ValueError("never works")
        return self.rest(h)


@pytest.mark.parametrize(
    ("how", "reason"),
    [("plain", ""), ("in place", "single memory location"), ("view", "view"), ("broken", "")],
)
def test_nets_that_cannot_share_a_step_are_found_before_training(how, reason):
    one = Session(config())
    found = static_obstacle(Changing(how), one._run, torch.zeros(2, 1, 8, 8))
    assert bool(found) is bool(reason)
    assert reason in found


def test_whether_the_first_layers_ran_once_is_looked_at():
    one, x = Session(config()), torch.zeros(2, 1, 8, 8)
    for hoisted in (True, False):
        model = place(vgg(1), one.config, hoisted=hoisted)
        wiring = trace(model, x)
        assert first_layers_run_once(model, wiring, one._run, x) is hoisted
    drops = place(vgg(1), one.config, hoisted=True)
    # What comes in is no longer known to be equal at every step.
    drops.stem.register_forward_pre_hook(lambda module, args: args[0] + 0.0)
    assert first_layers_run_once(drops, trace(drops, x), one._run, x) is False


def test_a_session_runs_such_nets_at_every_step_and_says_so(monkeypatch):
    one = Session(config(model="somebody:net"))
    monkeypatch.setattr("spikeprune.lab.run.session.build_model", lambda **_: Changing("in place"))
    assert "run at every time step" in one.static_obstacle
    assert one.runs_first_layer_once is False
    other = Session(replace(one.config, static_first_layer=False))
    assert (other.static_obstacle, other.runs_first_layer_once) == ("", False)
    monkeypatch.setattr("spikeprune.lab.run.session.build_model", lambda **_: Changing("plain"))
    plain = Session(config(model="somebody:net"))
    assert (plain.static_obstacle, plain.runs_first_layer_once) == ("", True)


def test_slow_half_precision_is_said(monkeypatch):
    monkeypatch.setattr("spikeprune.lab.run.session.has_bf16", lambda device: False)
    assert "slower" in Session(config(precision="bf16")).slow_precision
    assert Session(config()).slow_precision == ""
    monkeypatch.setattr("spikeprune.lab.run.session.has_bf16", lambda device: True)
    assert Session(config(precision="bf16")).slow_precision == ""
