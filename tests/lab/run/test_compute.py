"""How a run's nets compute: memory layout, precision, first layers, compiled neurons, notices."""

from dataclasses import replace

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from spikeprune import zoo
from spikeprune.adapters.registry import spiking_neurons
from spikeprune.adapters.speedups import fuse
from spikeprune.execution import memory_format
from spikeprune.lab.run import compute
from spikeprune.lab.run import session as session_module
from spikeprune.lab.run.compute import (
    DeviceBatches,
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


def test_batches_come_again_and_again_in_the_layout_asked_for():
    batches = [(torch.rand(B, 3, 5, 6), torch.arange(B)), (torch.rand(2, 3, 5, 6), torch.arange(2))]
    for last in (True, False):
        moved = DeviceBatches(batches, torch.device("cpu"), channels_last=last)
        for _ in range(2):
            for (x, y), (expected, labels) in zip(moved, batches, strict=True):
                assert torch.equal(x, expected)
                assert torch.equal(y, labels)
                assert is_last(x) is last


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
    model = Changing(how)
    found = static_obstacle(model, one.forward(model), torch.zeros(2, 1, 8, 8))
    assert bool(found) is bool(reason)
    assert reason in found


def test_whether_the_first_layers_run_once_is_measured():
    one, x = Session(config()), torch.zeros(2, 1, 8, 8)
    for hoisted in (True, False):
        model = place(vgg(1), one.config, hoisted=hoisted)
        wiring = trace(model, x)
        assert first_layers_run_once(model, wiring, one.forward(model), x) is hoisted
    drops = place(vgg(1), one.config, hoisted=True)
    # After this hook the layer cannot know that its input is equal at every step.
    drops.stem.register_forward_pre_hook(lambda module, args: args[0] + 0.0)
    assert first_layers_run_once(drops, trace(drops, x), one.forward(drops), x) is False


def test_a_session_runs_such_nets_at_every_step_and_says_so(monkeypatch):
    one = Session(config(model="somebody:net"))
    monkeypatch.setattr(session_module, "build_model", lambda **_: Changing("in place"))
    assert "run at every time step" in one.static_obstacle
    assert one.notices() == [one.static_obstacle]
    assert one.runs_first_layer_once is False
    other = Session(replace(one.config, static_first_layer=False))
    assert (other.static_obstacle, other.runs_first_layer_once) == ("", False)
    monkeypatch.setattr(session_module, "build_model", lambda **_: Changing("plain"))
    plain = Session(config(model="somebody:net"))
    assert (plain.static_obstacle, plain.runs_first_layer_once) == ("", True)


def notices(config, model=None, **changes):
    """What is noticed about a net; by default about one without anything to notice."""
    fused = fuse(Changing("plain") if model is None else model)
    usual = {"fused": fused, "memory_format_is_safe": True, "wants_compiling": False}
    return compute.notices(config, torch.device("cpu"), **(usual | changes))


def test_a_notice_of_slow_half_precision(monkeypatch):
    monkeypatch.setattr(compute, "has_bf16", lambda device: False)
    (notice,) = notices(config(precision="bf16"))
    assert "slower" in notice
    assert notices(config()) == []
    monkeypatch.setattr(compute, "has_bf16", lambda device: True)
    assert notices(config(precision="bf16")) == []


def strided(channels):
    """A net with a strided 1x1 convolution of so many input channels."""
    torch.manual_seed(0)
    model = nn.Sequential(
        layer.Conv2d(1, 12, 3, padding=1),
        neuron.LIFNode(),
        layer.Conv2d(12, channels, 3, padding=1),
        neuron.LIFNode(),
        layer.Conv2d(channels, 4, 1, stride=2),
        neuron.LIFNode(),
        layer.Flatten(),
        layer.Linear(4 * 16, 10),
    )
    functional.set_step_mode(model, "m")
    return model


@pytest.mark.parametrize(("channels", "safe"), [(8, True), (7, False)])
def test_a_net_that_cannot_be_trained_with_channels_last_is_in_the_default_format(
    channels, safe, monkeypatch
):
    monkeypatch.setattr(memory_format, "_vector_lanes", lambda: 8)
    monkeypatch.setattr(session_module, "build_model", lambda **_: strided(channels))
    one = Session(config(model="somebody:net", limit=8, batch_size=4))
    model = one.built().train()
    # A cut may make a net unsafe whose tensors are in the other format already.
    one.placed(model.to(memory_format=torch.channels_last))
    assert is_last(model[2].weight) is safe
    assert one.moved(one.data.train, model).channels_last is safe
    assert one.moved(one.data.train).channels_last  # inference is safe
    read = []
    model[4].register_forward_pre_hook(lambda module, args: read.append(is_last(args[0])))
    x, y = next(iter(one.moved(one.data.train, model)))
    one.loss(one.forward(model)(x), y).backward()
    assert read == [safe]
    assert [text for text in one.notices() if "channels_last" in text] == one.notices()
    assert bool(one.notices()) is not safe
    off = Session(config(model="somebody:net", limit=8, batch_size=4, channels_last=False))
    assert off.notices() == []


class Unknown(nn.Module):
    """A surrogate gradient without a fused form."""

    def forward(self, x):
        return (x >= 0).to(x) + 0 * x


def test_a_notice_of_neurons_that_are_not_fused():
    model = Changing("plain")
    model.rest[0].surrogate_function = Unknown()
    (notice,) = notices(config(), model)
    assert "'rest.0' is not" in notice
    assert notice == str(fuse(model))
    assert notices(config(fuse=False), model) == []


# -- compiled neurons -----------------------------------------------------------------------------


def made(**changes):
    options = {
        "model_args": {"widths": [4, 8], "strides": [2, 1]},
        "batch_size": 16,
        "limit": 64,
        "sparsity": 0.5,
        "epochs": {"prune": 2, "finetune": 1},
    }
    return Session(config(**(options | changes)))


@pytest.fixture
def compiler(monkeypatch):
    """Set why neurons cannot be compiled; None, as at first, if they can. No kernel is compiled."""

    def set_obstacle(obstacle):
        for module in (compute, session_module):
            monkeypatch.setattr(module, "cannot_compile", lambda: obstacle)

    set_obstacle(None)
    return set_obstacle


def updates_of(run):
    return compute.neuron_updates(run.config, run.wiring, run.steps_per_epoch)


def test_neuron_updates_worked_out_by_hand():
    run = made()
    neurons = 4 * 4 * 4 + 4 * 4 * 8  # a stride of 2 leaves 4x4 of 8x8 pixels
    assert updates_of(run) == 64 * T * 3 * neurons  # 4 batches of 16, 3 epochs
    assert updates_of(made(epochs={"prune": 2, "finetune": 1, "dense": 6})) == 2 * updates_of(run)


def test_auto_compiles_from_a_fixed_number_of_updates_on(monkeypatch, compiler):
    updates = updates_of(made())
    assert not made().compiled  # seconds of training
    monkeypatch.setattr(compute, "COMPILE_FROM", updates)
    assert made().compiled
    monkeypatch.setattr(compute, "COMPILE_FROM", updates + 1)
    assert not made().compiled


@pytest.mark.parametrize(
    ("options", "compiled"),
    [
        ({"compile": "on"}, True),
        ({"compile": "off"}, False),
        ({"compile": "auto", "fuse": False}, False),
    ],
)
def test_the_options_decide_whatever_the_number_of_updates(
    options, compiled, monkeypatch, compiler
):
    monkeypatch.setattr(compute, "COMPILE_FROM", 0 if not compiled else 10**20)
    run = made(**options)
    assert run.compiled is compiled
    bodies = {getattr(m, "_compiled_body", None) for m in run.built().modules()} - {None}
    assert bodies == ({compiled} if options.get("fuse", True) else set())


def test_a_notice_of_compiling(compiler):
    assert made(compile="off").notices() == []
    assert made().notices() == []
    (notice,) = made(compile="on").notices()
    assert "compiled in the first steps" in notice
    compiler("no g++")
    run = made(compile="on")
    assert run.notices() == ["fused neurons are not compiled: no g++"]
    assert not run.compiled
    assert notices(run.config) == []  # on CUDA: an option without effect, see `lab.settings`
