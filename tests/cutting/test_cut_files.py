"""A cut net goes through a folder, for a class of the user's own."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from spikeprune import Pruner, cut
from spikeprune.cutting.cut_files import load_cut, save_cut
from spikeprune.errors import ModelError, RunError


class Net(nn.Module):
    """A net with a block of its own."""

    def __init__(self, channels=8):
        super().__init__()
        self.body = nn.Sequential(
            layer.Conv2d(1, channels, 3, bias=False),
            layer.BatchNorm2d(channels),
            neuron.LIFNode(),
            layer.Flatten(),
        )
        self.head = layer.Linear(36 * channels, 3)
        functional.set_step_mode(self, "m")

    def forward(self, x):
        return self.head(self.body(x))


@pytest.fixture
def result():
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    made = {"time_steps": 2, "total_steps": 4, "sparsity": 0.5, "granularity": "channel"}
    pruner = Pruner(model, optimizer, torch.zeros(1, 1, 8, 8), **made)
    for _ in range(4):
        functional.reset_net(model)
        optimizer.zero_grad()
        model(torch.randn(2, 6, 1, 8, 8)).square().mean().backward()
        optimizer.step()
        pruner.step()
    return cut(pruner)


def test_the_loaded_net_is_the_saved_one(result, tmp_path):
    save_cut(result, tmp_path / "small")
    again, x = load_cut(Net(), tmp_path / "small").eval(), torch.randn(2, 3, 1, 8, 8)
    assert again.body[0].out_channels == result.after["body.0"] == 4
    functional.reset_net(result.model)
    assert torch.equal(again(x), result.model.eval()(x))
    assert {path.suffix for path in (tmp_path / "small").iterdir()} == {".json", ".safetensors"}


def test_other_nets_and_empty_folders_are_refused(result, tmp_path):
    with pytest.raises(RunError, match=r"there is no cut\.json"):
        load_cut(Net(), tmp_path)
    save_cut(result, tmp_path)
    with pytest.raises(ModelError, match="does not fit"):
        load_cut(Net(channels=6), tmp_path)


def test_weights_that_are_not_finite_are_refused(result, tmp_path):
    result.model.head.weight.data[0, 0] = torch.nan
    save_cut(result, tmp_path)
    with pytest.raises(ModelError, match=r"weights\.safetensors are .*'head\.weight'.*not finite"):
        load_cut(Net(), tmp_path)
