"""Nets and data of the user's own, end to end through the command line."""

import json
import sys

import pytest
import torch
from safetensors.torch import load_file

import spikeprune
from spikeprune.cli import main
from spikeprune.errors import ConfigError, ModelError, RunError
from spikeprune.lab.run.results.measure import evaluate_folder
from spikeprune.zoo.custom import build_model

MINE = '''
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from spikingjelly.activation_based import functional, layer, neuron, surrogate


def spikes():
    return neuron.LIFNode(tau=1.5, surrogate_function=surrogate.ATan())


class Net(nn.Module):
    """Any net of the user's, with names of their own."""

    def __init__(self, in_channels, classes, mode="m", width=6):
        super().__init__()
        self.eye = layer.Conv2d(in_channels, width, 3, stride=2, padding=1)
        self.scale = layer.BatchNorm2d(width)
        self.one = spikes()
        self.mid = layer.Conv2d(width, 8, 3, padding=1, bias=False)
        self.scale2 = layer.BatchNorm2d(8)
        self.two = spikes()
        self.mean = nn.Sequential(layer.AdaptiveAvgPool2d(1), layer.Flatten())
        self.out = layer.Linear(8, classes)
        functional.set_step_mode(self, mode)

    def forward(self, x):
        x = self.two(self.scale2(self.mid(self.one(self.scale(self.eye(x))))))
        return self.out(self.mean(x))


class Looping(Net):
    """Loops over time itself."""

    def __init__(self, in_channels, classes, time_steps, mean=True):
        super().__init__(in_channels, classes, mode="s")
        self.time_steps, self.average = time_steps, mean

    def forward(self, x):
        steps = [x] * self.time_steps if x.dim() == 4 else list(x.transpose(0, 1))
        logits = torch.stack([super(Looping, self).forward(step) for step in steps])
        return logits.mean(0) if self.average else logits


def sequence(in_channels, classes, width=6):
    return Net(in_channels, classes, "m", width)


def step(in_channels, classes):
    return Net(in_channels, classes, "s")


def batch(in_channels, classes, time_steps, mean=True):
    return Looping(in_channels, classes, time_steps, mean)


def anything(**given):
    assert set(given) == {"in_channels", "classes", "image_size", "time_steps", "width"}
    return Net(given["in_channels"], given["classes"], "m", given["width"])


def parts(n, *shape):
    draw = torch.Generator().manual_seed(n)
    x = torch.rand(n, *shape, generator=draw)
    return TensorDataset(x, (x.flatten(1).mean(1) > 0.5).long())


def images(batch_size, root):
    train, test = parts(90, 1, 8, 8), parts(40, 1, 8, 8)
    return {
        "train": DataLoader(train, batch_size=batch_size, shuffle=True, drop_last=True),
        "score": DataLoader(train, batch_size=batch_size),
        "test": DataLoader(test, batch_size=batch_size),
        "shape": (1, 8, 8),
        "classes": ["dark", "bright"],
        "label": f"mine from {root}",
        "mean": (0.5,),
        "std": (0.25,),
    }


def time_first(rows):
    xs, ys = zip(*rows)
    return torch.stack(xs, dim=1), torch.stack(ys)


def recordings(batch_size, time_steps):
    sets = [parts(n, time_steps, 2, 8, 8) for n in (90, 30, 40)]
    loaders = [DataLoader(s, batch_size=batch_size, collate_fn=time_first) for s in sets]
    return (*loaders, (2, 8, 8), 2)
'''


@pytest.fixture(autouse=True)
def _mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)


def command(model, *more, data="digits", out="x"):
    line = (
        f"run --data {data} --model mine:{model} --time_steps 2 --out {out} --limit 100 "
        "--batch_size 20 --sparsity 0.5 --every 2 --epochs.prune 1 --epochs.finetune 1 --threads 1"
    )
    return [*line.split(), *more]


@pytest.mark.parametrize("granularity", ["weight", "channel"])
@pytest.mark.parametrize("layout", ["sequence", "step", "batch"])
def test_a_net_and_checkpoint_of_the_users_own(tmp_path, capsys, layout, granularity):
    net = build_model(f"mine:{layout}", {"in_channels": 1, "classes": 10, "time_steps": 2})
    torch.save(net.state_dict(), "ckpt.pt")
    line = f"--layout {layout} --weights ckpt.pt --granularity {granularity}"
    assert main(command(layout, *line.split())) == 0
    assert "report: x/report.html" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "x" / "metrics.json").read_text())
    assert metrics["model"] == {
        "name": f"mine:{layout}",
        "arguments": {"classes": 10, "in_channels": 1, "image_size": 8, "time_steps": 2},
    }
    assert [row["name"] for row in metrics["pruned"]["layers"]] == ["eye", "mid", "out"]
    assert metrics["static_first_layer"] is (layout == "sequence")
    assert metrics["start"] == "checkpoint"
    dense = load_file("x/dense/model.safetensors")
    assert all(torch.equal(dense[n], t) for n, t in net.state_dict().items())
    # Names stay the user's.
    with pytest.raises(RunError, match="user_code=True"):
        spikeprune.load("x")
    predictor = spikeprune.load("x", user_code=True)
    assert predictor.net.state_dict().keys() == net.state_dict().keys()
    assert predictor(torch.zeros(3, 1, 8, 8)).shape == (3, 10)
    found = evaluate_folder(tmp_path / "x", trust_code=True)["pruned"]
    assert found["test_accuracy"] == metrics["pruned"]["test_accuracy"]


@pytest.mark.parametrize("name", ["images", "recordings"])
@pytest.mark.parametrize("layout", ["sequence", "step", "batch"])
def test_data_of_the_users_own(tmp_path, layout, name):
    line = command(layout, "--layout", layout, "--data_root", "here", data=f"mine:{name}")
    assert main(line) == 0
    metrics = json.loads((tmp_path / "x" / "metrics.json").read_text())
    kind = "static" if name == "images" else "events"
    assert metrics["data"]["kind"] == kind
    assert metrics["data"]["samples"] == {
        "train": 90,
        "validation": 0 if name == "images" else 30,
        "test": 40,
    }
    side = metrics["pruned"]
    assert (side["validation_accuracy"] is None) == (name == "images")
    assert (side["first_layer_macs_per_sample"]["static"] is None) == (kind == "events")
    predictor = spikeprune.load("x", user_code=True)
    shape = (3, 1, 8, 8) if kind == "static" else (2, 3, 2, 8, 8)
    assert predictor(torch.zeros(shape)).shape == (3, 2)
    if kind == "static":
        assert predictor.classes == ("dark", "bright")
        assert (predictor.mean, predictor.std) == ((0.5,), (0.25,))
        assert metrics["data"]["label"] == "mine from here"


def test_arguments_of_the_users_own_reach_the_net(tmp_path):
    assert main(command("anything", "--model_args.width", "5", out="x")) == 0
    assert spikeprune.load("x", user_code=True).net.eye.weight.shape[0] <= 5
    assert load_file("x/dense/model.safetensors")["eye.weight"].shape[0] == 5


def test_a_callable_gets_only_the_facts_that_it_has_parameters_for():
    facts = {"classes": 3, "in_channels": 2, "image_size": 8, "time_steps": 4}
    net = build_model("mine:sequence", facts | {"width": 7})
    assert net.eye.weight.shape == (7, 2, 3, 3)
    assert net.out.out_features == 3
    with pytest.raises(ModelError, match=r"could not be built.*depth"):
        build_model("mine:sequence", facts | {"depth": 7})
    with pytest.raises(ConfigError, match="mine:nowhere"):
        build_model("mine:nowhere", facts)


def test_the_import_path_is_left_as_it_was(monkeypatch):
    before = list(sys.path)
    build_model("mine:sequence", {"classes": 3, "in_channels": 2})
    with pytest.raises(ConfigError):
        build_model("nowhere:net", {})
    assert sys.path == before


def test_zoo_nets_by_name():
    facts = {"classes": 3, "in_channels": 2, "image_size": 8, "time_steps": 4}
    net = build_model("vgg-small", facts | {"widths": [4], "strides": [1]})
    assert net.arguments["widths"] == [4]
