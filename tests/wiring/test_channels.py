"""The channels that can be cut: by one slice where it shows all, else in part, else refused."""

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from tests.foreign.plain import Residual, Sequence
from torch import nn

from spikeprune.errors import ModelError
from spikeprune.wiring.channels import Channels, checked, find_channels, left_whole
from spikeprune.wiring.trace import trace


class Net(nn.Module):
    """Two layers with a norm each in a framework, the second norm is given."""

    def __init__(self, norm):
        super().__init__()
        self.a, self.norm_a, self.lif_a = layer.Conv2d(2, 4, 1), nn.BatchNorm2d(4), neuron.IFNode()
        self.b, self.norm_b, self.lif_b = layer.Conv2d(4, 6, 1), norm, neuron.IFNode()
        self.c, self.lif_c, self.head = layer.Conv2d(6, 5, 1), neuron.IFNode(), layer.Linear(5, 3)

    def forward(self, x):
        x = self.lif_b(self.norm_b(self.b(self.lif_a(self.norm_a(self.a(x))))))
        return self.head(self.lif_c(self.c(x)).mean((2, 3)))


def found(model, example):
    wiring = trace(model, example, time_steps=2)
    return find_channels(model, example, wiring, time_steps=2)


def test_all_channels_of_a_net_that_one_slice_shows():
    channels = found(Net(nn.BatchNorm2d(6)), torch.randn(1, 2, 4, 4))
    assert [group.name for group in channels.groups] == ["a", "b", "c"]
    assert channels.whole == {}
    assert channels.notes == ()


def test_a_part_of_the_channels_and_why_not_the_others():
    channels = found(Net(nn.GroupNorm(2, 6)), torch.randn(1, 2, 4, 4))
    assert [group.name for group in channels.groups] == ["a", "c"]
    (note,) = channels.notes
    assert note.startswith("channels left whole: b; channels of 'b' are mixed on the way to")


class Concatenated(nn.Module):
    """The spikes of two layers, of 5 and 3 channels, side by side."""

    def __init__(self):
        super().__init__()
        self.a, self.lif_a = layer.Conv2d(2, 5, 1), neuron.IFNode()
        self.b, self.lif_b = layer.Conv2d(5, 3, 1), neuron.IFNode()
        self.head = layer.Linear(8, 3)

    def forward(self, x):
        a = self.lif_a(self.a(x))
        return self.head(torch.cat([a, self.lif_b(self.b(a))], 1).mean((2, 3)))


def test_concatenated_channels_are_not_tied_to_each_other():
    first, second = found(Concatenated(), torch.randn(1, 2, 4, 4)).groups
    assert (first.producers, first.channels) == (("a",), 5)
    assert (second.producers, second.channels) == (("b",), 3)
    read = {member.module: member.index.flatten().tolist() for member in first.of("in")}
    assert read == {"b": [0, 1, 2, 3, 4], "head": [0, 1, 2, 3, 4]}
    assert [member.index.flatten().tolist() for member in second.of("in")] == [[5, 6, 7]]


class JoinedWithInput(nn.Module):
    """A layer of as many channels as the input, which is added to its potentials."""

    def __init__(self):
        super().__init__()
        self.a, self.lif_a = layer.Conv2d(2, 2, 1), neuron.IFNode()
        self.b, self.lif_b = layer.Conv2d(2, 5, 1), neuron.IFNode()
        self.head = layer.Linear(5, 3)

    def forward(self, x):
        return self.head(self.lif_b(self.b(self.lif_a(self.a(x) + x.clamp(max=1)))).mean((2, 3)))


def test_channels_that_are_joined_with_the_input_are_left_whole():
    channels = found(JoinedWithInput(), torch.randn(1, 2, 4, 4))
    assert [group.name for group in channels.groups] == ["b"]
    assert channels.whole == {"a": "its channels are joined with the input of the net"}


def test_neurons_found_by_their_spike_functions():
    model, example = Sequence(), torch.rand(2, 12)
    channels = find_channels(model, example, trace(model, example, time_steps=4), time_steps=4)
    assert [(group.name, group.channels) for group in channels.groups] == [
        ("body.0", 24),
        ("body.2", 16),
    ]
    assert [group.neurons for group in channels.groups] == [("body.1",), ("body.3",)]


def test_a_net_of_which_nothing_can_be_cut_is_refused_in_one_sentence():
    model, example = Residual(), torch.rand(2, 1, 8, 8)
    wiring = trace(model, example, time_steps=4)
    message = r"^no channel can be cut, prune weights instead \(stem, a, b: expected plain or depth"
    with pytest.raises(ModelError, match=message):
        find_channels(model, example, wiring, time_steps=4)


def test_reasons_are_named_once_and_few_of_them():
    whole = {"a": "one", "b": "two", "c": "one", "d": "three", "e": "four"}
    assert left_whole(whole)[:2] == (
        "channels left whole: a, c; one",
        "channels left whole: b; two",
    )
    with pytest.raises(ModelError, match=r"a, c: one; b: two; d: three; and 1 more reasons"):
        checked(Channels((), whole))
    with pytest.raises(ModelError, match="all channels are the output of the net"):
        checked(Channels((), {}))
