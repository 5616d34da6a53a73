"""State of modules of no framework: put to rest by their own methods, kept while something runs."""

import torch
from tests.foreign.plain import StateLIF
from torch import nn

from spikeprune.adapters.rest import at_rest, reset, state_kept
from spikeprune.training.checkpoint import save_tensors
from spikeprune.training.weights_file import load_weights


class Counting(nn.Module):
    """Counts its forwards in several kinds of attributes."""

    def __init__(self):
        super().__init__()
        self.count, self.record = 0, []
        self.register_buffer("total", torch.zeros(()))

    def forward(self, x):
        self.count += 1
        self.record.append(self.count)
        self.total += 1
        self.extra = x
        return x

    def reset_parameters(self):
        raise AssertionError("not a state")

    def reset_state(self, value=0):
        self.count = value


class NeedsMore(nn.Module):
    """A reset that cannot be called without arguments."""

    def reset(self, batch):
        raise AssertionError("called")


def test_own_resets_are_called_where_they_need_nothing():
    model = nn.Sequential(StateLIF(), Counting(), NeedsMore())
    model[0](torch.rand(3))
    model[1].count = 5
    reset(model)
    assert model[0].mem is None
    assert model[1].count == 0


def test_state_is_put_back():
    model = nn.Sequential(StateLIF(), Counting())
    model(torch.rand(3))
    before = (model[0].mem, 1, [1], 1.0)
    buffer, record = model[1].total, model[1].record
    with state_kept(model):
        model(torch.rand(3))
        assert model[1].count == 2
    one = model[1]
    assert (model[0].mem, one.count, one.record, one.total.item()) == before
    assert one.total is buffer
    assert one.record is record


def test_new_attributes_go_away():
    model = Counting()
    with state_kept(model):
        model(torch.rand(2))
    assert not hasattr(model, "extra")
    assert model.total.item() == 0


class Buffered(nn.Module):
    """Keeps its potential in a buffer that takes the shape of the first batch."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mem", torch.zeros(0))

    def forward(self, x):
        self.mem = 0.5 * self.mem + x if self.mem.numel() else x
        return (self.mem >= 1).float()


def test_a_saved_state_is_left_out_where_a_net_has_none_yet(tmp_path):
    used, fresh = (nn.Sequential(nn.Linear(3, 4), Buffered()) for _ in range(2))
    with torch.no_grad():
        used(torch.rand(2, 3))
    assert used[1].mem.shape == (2, 4)
    save_tensors(tmp_path / "net.safetensors", used.state_dict())
    load_weights(fresh, tmp_path / "net.safetensors")
    assert torch.equal(fresh[0].weight, used[0].weight)
    assert not fresh[1].mem.numel()
    load_weights(used, tmp_path / "net.safetensors")  # which has a state
    assert at_rest(used, used.state_dict()).keys() == used.state_dict().keys()
