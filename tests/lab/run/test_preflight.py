"""What a run refuses before any training, through the command line and by each of its trials."""

import pickle
import sys

import pytest
import torch

from spikeprune import limits
from spikeprune.cli import main
from spikeprune.data import places
from spikeprune.errors import BudgetError, ConfigError, DataError, ModelError, RunError
from spikeprune.lab.run.preflight import (
    preflight,
    refuse_endless,
    try_pruning,
    try_saved_dense,
    try_training,
)
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import DenseFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.training.checkpoint import save_tensors

BASE = {
    "data": "digits",
    "limit": 100,
    "batch_size": 20,
    "sparsity": 0.6,
    "every": 2,
    "model": "vgg-small",
    "model_args": {"widths": [4, 8], "strides": [2, 1]},
    "time_steps": 2,
    "epochs": {"prune": 1, "finetune": 1},
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


def broken():
    model = net()
    model[1].running_var[1] = -0.5
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


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = net()

    def forward(self, x):
        return self.net(x).mean(0)


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
    ({"model": "nets:no_spikes"}, ["spiking neurons", "no spiking neuron was found"]),
    ({"model": "nets:unknown"}, ["spiking neurons", "no spiking neuron was found"]),
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


@pytest.mark.slow
@pytest.mark.parametrize(("values", "words"), REFUSED, ids=lambda value: str(value)[:60])
def test_bad_input_is_refused_before_training_in_one_line_and_writes_nothing(
    tmp_path, capsys, values, words
):
    other = Session(config(model_args={"widths": [6], "strides": [1]})).built()
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


def trial(**values):
    return Session(config(**values))


def test_a_sound_run_passes_and_is_left_as_it_was():
    session = trial()
    torch.manual_seed(3)
    expected = torch.rand(2)
    before = session.built().state_dict()
    torch.manual_seed(3)
    preflight(session)
    assert torch.equal(torch.rand(2), expected)  # nothing is drawn from torch's own generator
    after = session.built().state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_each_trial_refuses_its_own():
    floors = {"granularity": "channel", "sparsity": 0.95}
    with pytest.raises(BudgetError, match="floors"):
        try_pruning(trial(**floors))
    try_training(trial(**floors))
    own = {"model": "nets:steep", "model_args": {}}
    try_pruning(trial(**own))
    with pytest.raises(ModelError, match="loss of inf"):
        try_training(trial(**own))
    with pytest.raises(DataError, match="not finite"):
        try_training(trial(data="own:broken", model="nets:net", model_args={}))


def test_a_teacher_that_cannot_be_compared_with_is_refused():
    mean = {"model": "nets:Mean", "model_args": {}}
    try_training(trial(**mean, teacher={"weight": 0.5}))
    each = {"teacher": {"weight": 0.5, "per_step": True}}
    with pytest.raises(ModelError, match="per_step compares the logits of each of 2 time steps"):
        try_training(trial(**mean, **each))
    try_training(trial(**mean, **each, method="dense", sparsity=None))  # it has no teacher


def test_a_dense_run_has_nothing_to_prune():
    try_pruning(trial(method="dense", sparsity=None, granularity="channel"))


@pytest.mark.parametrize("method", ["magnitude", "dense"])
def test_a_net_of_one_s_own_with_unsound_weights(method):
    broken = trial(model="nets:broken", model_args={}, method=method)
    with pytest.raises(ModelError, match=r"'1\.running_var' holds a variance below 0"):
        preflight(broken)


def test_a_dense_net_that_was_cut_or_broken_meanwhile(tmp_path):
    session, folder = trial(), DenseFolder(tmp_path / "dense")
    whole = session.built().state_dict()
    cut = Session(config(model_args={"widths": [3, 8], "strides": [2, 1]})).built().state_dict()
    broken = whole | {"stem.conv.weight": whole["stem.conv.weight"] * torch.nan}
    save_tensors(folder.model, cut)
    try_saved_dense(session, [folder])  # without metrics it is not finished, and not used
    folder.metrics.write_text("{}")
    for tensors, expected in ((cut, r"found \(3, 1, 3, 3\), expected"), (broken, "not finite")):
        save_tensors(folder.model, tensors)
        with pytest.raises(RunError, match=rf"{expected}.*Remove the folder .*dense to train it"):
            try_saved_dense(session, [folder])
    save_tensors(folder.model, whole)
    try_saved_dense(session, [folder])


@pytest.mark.parametrize(
    "layer",
    [
        torch.nn.Conv2d(1, 2, 3, stride=10**6),
        torch.nn.Conv2d(1, 2, 1, padding=(0, 10**6)),
        torch.nn.MaxPool2d(10**6),
    ],
)
def test_a_layer_larger_than_any_image_is_refused(layer):
    refuse_endless(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, stride=2, padding=1)))
    with pytest.raises(
        ModelError, match=r"layer 0 has (stride|padding|kernel_size) .*1000000.*4096"
    ):
        refuse_endless(torch.nn.Sequential(layer))


def test_a_training_step_that_cannot_fit_is_refused(monkeypatch):
    session = Session(config())
    # outputs of a sample: 4 x 4x4 once, 8 x 4x4 and 10 at 2 steps; a batch of 20 at 2 bytes
    needed = 2 * 20 * (64 + 2 * (128 + 10))
    monkeypatch.setattr(limits, "memory_bytes", lambda: needed - 1)
    with pytest.raises(
        ConfigError, match=r"outputs in one training step would take .*smaller --batch_size"
    ):
        try_training(session)
    monkeypatch.setattr(limits, "memory_bytes", lambda: needed)
    try_training(session)
