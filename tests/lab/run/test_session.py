"""What a run works on, and what it refuses before any training, through the command line."""

import pickle
import sys

import pytest
import torch

from spikeprune import zoo
from spikeprune.cli import main
from spikeprune.data import places
from spikeprune.errors import ConfigError
from spikeprune.lab.run.session import Session, choose_device
from spikeprune.lab.settings.config import RunConfig

BASE = {
    **{"data": "digits", "limit": 100, "batch_size": 20, "sparsity": 0.6, "every": 2},
    **{"model": "vgg-small", "model_args": {"widths": [4, 8], "strides": [2, 1]}, "time_steps": 2},
    **{"epochs": {"prune": 1, "finetune": 1}},
}

NETS = """
import torch
from torch import nn
from spikingjelly.activation_based import functional, layer, neuron, surrogate


def net(classes=10, mode="m", extra=None, spikes=None):
    parts = [layer.Conv2d(1, 4, 3, bias=False), layer.BatchNorm2d(4), spikes or neuron.IFNode()]
    parts += [layer.Flatten(), layer.Linear(144, classes)]
    model = nn.Sequential(*parts)
    if extra is not None:
        model.extra = extra
    functional.set_step_mode(model, mode)
    return model


def step():
    return net(mode="s")


def few():
    return net(5)


def many():
    return net(12)


def no_spikes():
    return nn.Sequential(nn.Flatten(0, 1), nn.Flatten(), nn.Linear(64, 10))


class Unknown(torch.nn.Module):
    def forward(self, x):
        return nn.functional.relu(x)


def unknown():
    return net(spikes=Unknown())


def unused():
    model = net()
    model.forward = lambda x: nn.Sequential.forward(model[:5], x)
    model.append(layer.Linear(3, 3))
    return model


class Late(surrogate.ATan):
    def forward(self, x):
        return super().forward(x - 1.0)


def late():
    return net(spikes=neuron.IFNode(surrogate_function=Late()))


def fails(classes):
    raise RuntimeError("no such thing\\nand a second line")


def asks(depth):
    return net()


def returns_none():
    return None


class Crash(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = net()

    def forward(self, x):
        if self.training:
            raise IndexError("only when it trains\\nsecond line")
        return self.net(x)


number = 3


def steep():
    model = net()
    nn.init.zeros_(model[4].weight)
    model[4].bias.data = torch.linspace(-1.6e38, 1.6e38, 10)
    return model


def huge():
    model = net()
    nn.init.constant_(model[4].weight, 3e38)
    return model
"""

DATA = """
import torch


def batches(n, *shape):
    return [(torch.rand(*shape), torch.arange(20) % 10) for _ in range(n)]


def events():
    return batches(4, 3, 20, 1, 8, 8), None, batches(1, 3, 20, 1, 8, 8), (1, 8, 8), 10


def broken():
    return [(x * float("nan"), y) for x, y in batches(4, 20, 1, 8, 8)], None, \\
        batches(1, 20, 1, 8, 8), (1, 8, 8), 10


def fails():
    raise KeyError("no such file")


def nothing():
    return [], None, [], (1, 8, 8), 10
"""


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    for name, text in {"nets": NETS, "own": DATA, "torn": "import nowhere_to_be_found"}.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / "cache"))
    monkeypatch.setattr(places, "SYSTEM_FOLDER", tmp_path / "none")
    monkeypatch.chdir(tmp_path)


def config(**values):
    return RunConfig.from_dict(BASE | {"out": "x"} | values)


def command(**values):
    """The command line of these options over those of `BASE`."""
    flags = BASE | {"out": "x"} | values
    if ":" in str(flags["model"]):
        flags.pop("model_args")
    words = []
    for name, value in flags.items():
        if value is None:
            continue
        if isinstance(value, dict):
            for key, part in value.items():
                words += [f"--{name}.{key}", str(part)]
        else:
            words += [f"--{name}", str(value)]
    return words


def snapshot(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


REFUSED = [
    ({"data": "digitz"}, ["digitz", "fashion-mnist"]),
    ({"data": "nmnist", "data_root": "nowhere"}, ["N-MNIST", "nowhere"]),
    ({"data": "own:nowhere"}, ["own", "nowhere"]),
    ({"data": "own:fails"}, ["own:fails", "KeyError: 'no such file'"]),
    ({"data": "own:nothing"}, ["at least one batch"]),
    ({"data": "own:events", "model": "nets:net"}, ["T = 2", "float32 [3, 20, 1, 8, 8]"]),
    ({"data": "own:broken", "model": "nets:net"}, ["training batch", "not finite"]),
    ({"batch_size": 500}, ["batch of 500", "smaller batch_size"]),
    ({"model": "vgg17"}, ["vgg17", "vgg16", "module:callable"]),
    (
        {"model": "vgg16", "model_args": {}, "image_size": 16},
        ["image_size of at least", "got 16x16"],
    ),
    ({"model_args": {"widths": 4}}, ["vgg-small", "could not be built"]),
    ({"model_args": {"depth": 4}}, ["depth", "widths"]),
    ({"model": "nets:nowhere"}, ["nets:nowhere", "cannot be imported"]),
    ({"model": "nowhere:net"}, ["cannot be imported", "current folder or PYTHONPATH"]),
    ({"model": "torn:net"}, ["cannot be imported", "nowhere_to_be_found"]),
    ({"model": "nets:number"}, ["int", "expected a callable"]),
    ({"model": "nets:fails"}, ["could not be built", "RuntimeError: no such thing"]),
    ({"model": "nets:asks"}, ["could not be built", "depth"]),
    ({"model": "nets:returns_none"}, ["NoneType", "nn.Module"]),
    ({"model": "nets:no_spikes"}, ["spiking neurons", "none"]),
    ({"model": "nets:no_spikes", "method": "dense", "sparsity": None}, ["spiking neurons"]),
    ({"model": "nets:unknown"}, ["spiking neurons", "none"]),
    ({"model": "nets:unused"}, ["called exactly once", "0 calls"]),
    ({"model": "nets:late"}, ["peak", "curve"]),
    ({"model": "nets:few"}, ["logits of 10 classes, got 5"]),
    ({"model": "nets:many"}, ["logits of 10 classes, got 12"]),
    ({"model": "nets:huge"}, ["not finite"]),
    ({"model": "nets:steep"}, ["loss of inf"]),
    ({"model": "nets:Crash"}, ["fails on a batch [20, 1, 8, 8]", "only when it trains"]),
    ({"model": "nets:net", "layout": "step"}, ["layout 'step'", "sequence, step, batch"]),
    ({"model": "nets:step"}, ["layout 'sequence'"]),
    ({"method": "magic"}, ["magic", "criticality"]),
    ({"sparsity": None}, ["--sparsity 0.9"]),
    ({"sparsity": 1.5}, ["(0, 1)"]),
    ({"every": 100}, ["no pruning event", "--every"]),
    ({"limits": "{'*': [0.9, 1.0]}"}, ["limits"]),
    ({"include": "[conv9]"}, ["conv9", "stem.conv"]),
    ({"sparsity": 0.999999}, ["no weight would be left"]),
    ({"granularity": "channel", "sparsity": 0.9}, ["floors alone exceed the budget"]),
    ({"granularity": "channel", "channels": {"floor": 6}}, ["floors alone exceed the budget"]),
    ({"weights": "nowhere.pt"}, ["no file nowhere.pt"]),
    ({"weights": "other.pt"}, ["do not fit", "stem.conv.weight"]),
    ({"weights": "evil.pt"}, ["pickle"]),
    ({"weights": "nets.py"}, ["nets.py", "plain state_dict"]),
]


@pytest.mark.parametrize(("values", "words"), REFUSED, ids=lambda value: str(value)[:60])
def test_bad_input_is_refused_before_training_in_one_line_and_writes_nothing(
    tmp_path, capsys, values, words
):
    other = Session(config(model_args={"widths": [6], "strides": [1]})).fresh()
    torch.save(other.state_dict(), "other.pt")
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(print))
    before = snapshot(tmp_path)
    for verb in ("run", "plan"):
        code = main([verb, *command(**values)])
        out, err = capsys.readouterr()
        assert code in (1, 2)
        assert err.startswith("spikeprune: error: ")
        assert err.count("\n") == 1 or "Looked at:" in err  # a line per place
        for word in words:
            assert word in err
        assert "epoch" not in out
        assert snapshot(tmp_path) == before


def test_truncated_recordings_are_refused(tmp_path, capsys):
    for half in ("Train", "Test"):
        for digit in range(10):
            (tmp_path / "events" / half / str(digit)).mkdir(parents=True)
            (tmp_path / "events" / half / str(digit) / "1.bin").write_bytes(b"\1\2\0\0\1\7")
    before = snapshot(tmp_path)
    assert main(["run", *command(data="nmnist", data_root="events", batch_size=2)]) == 1
    assert "1.bin is truncated" in capsys.readouterr().err
    assert snapshot(tmp_path) == before


def test_an_error_of_our_own_readers_is_not_dressed_up(monkeypatch):
    def load(name, **options):
        raise ZeroDivisionError

    monkeypatch.setattr("spikeprune.data.load", load)
    with pytest.raises(ZeroDivisionError):
        _ = Session(config()).data


def test_devices_by_name():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="'tpu'; expected one of: auto, cpu, cuda"):
        choose_device("tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there():
    with pytest.raises(ConfigError, match="no CUDA device"):
        choose_device("cuda")


def test_the_start_depends_on_the_seed_alone_and_leaves_the_generator():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = Session(config()).model().state_dict()
    assert torch.equal(torch.rand(3), expected)
    two = Session(config()).model().state_dict()
    other = Session(config(seed=1)).model().state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["stem.conv.weight"], other["stem.conv.weight"])


def test_counts_and_inputs_are_those_of_the_net_and_data():
    session = Session(config())
    assert session.steps_per_epoch == 5
    assert session.weight_counts == {
        "stem.conv": 36,
        "body.conv2": 288,
        "head.classifier": 80,
    }
    assert session.macs_per_sample == 2 * (16 * 36 + 16 * 288 + 80)
    assert session.test_inputs.shape == (20, 1, 8, 8)
    assert session.example.shape == (1, 1, 8, 8)


@pytest.mark.parametrize("on", [True, False])
def test_the_memory_layout_of_nets_and_batches(on):
    session = Session(config(channels_last=on, model_args={"widths": [4, 8], "strides": [2, 1]}))
    weight = session.model().get_parameter("body.conv2.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last) == on
    assert weight.is_contiguous() != on


def test_event_options_reach_the_data(monkeypatch):
    seen = {}
    monkeypatch.setattr("spikeprune.data.load", lambda name, **options: seen.update(options))
    _ = Session(config(binning="count", image_size=16, augment=["flip"])).data
    assert (seen["binning"], seen["image_size"], seen["limit"]) == ("count", 16, 100)
    assert (seen["time_steps"], seen["batch_size"], seen["augment"]) == (2, 20, ("flip",))


@pytest.mark.parametrize(("model", "side"), [("vgg-small", 8), ("vgg9", 8), ("vgg16", 32)])
def test_digits_are_resized_for_nets_that_pool_too_often(model, side):
    session = Session(RunConfig(data="digits", model=model, limit=64, batch_size=8))
    assert session.data.info.shape == (1, side, side)


@pytest.mark.parametrize("name", sorted(zoo.NAMES))
def test_every_net_takes_its_smallest_image(name):
    side = max(2, zoo.smallest_image(name))
    width = {"widths": (2, 2), "strides": (2, 1)} if name == "vgg-small" else {"width": 0.05}
    options = {"classes": 2, "in_channels": 1, "time_steps": 1, **width}
    net = zoo.build(name, image_size=side, **options).eval()
    assert net(torch.zeros(1, 1, side, side)).shape == (1, 1, 2)
    if zoo.smallest_image(name) > 1:
        with pytest.raises(ConfigError, match="image_size of at least"):
            zoo.build(name, image_size=side - 1, **options)


def test_sessions_of_the_same_data_read_them_once():
    first = Session(RunConfig.from_dict(BASE))
    other = first.beside(RunConfig.from_dict(BASE | {"method": "magnitude", "sparsity": 0.9}))
    assert other.data is first.data
    assert other.config.sparsity == 0.9
    for change in ({"seed": 1}, {"limit": 50}, {"batch_size": 10}, {"validation": 0.2}):
        changed = first.beside(RunConfig.from_dict(BASE | change))
        assert changed.data is not first.data
        assert len(changed.data.train) == len(Session(changed.config).data.train)
