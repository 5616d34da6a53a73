"""Where channels arrive: compared with what the operations between layers do, by hand."""

import pytest
import torch
from tests.foreign.plain import Vector
from torch import nn
from torch.nn import functional as F

from spikeprune.errors import ModelError
from spikeprune.wiring.channel_flow import MIXED, NONE, OUTPUT, ChannelFlow, FreeTensor
from spikeprune.wiring.trace import traced


class Between(nn.Module):
    """Two layers around a function, and a head."""

    def __init__(self, function, reads=4):
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.head = nn.Conv2d(reads, 3, 1), nn.Linear(3, 2)
        self.function = function

    def forward(self, x):
        x = self.second(self.function(self.norm(self.first(x))))
        return self.head(x.mean((2, 3)))


def flow(model, *shape, layout="batch"):
    torch.manual_seed(0)
    return ChannelFlow(model, traced(model, torch.randn(1, *shape), layout=layout))


def shuffled(x):
    return x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (F.relu, [0, 1, 2, 3]),
        (lambda x: F.max_pool2d(x, 4), [0, 1, 2, 3]),
        (lambda x: x.flip(1), [3, 2, 1, 0]),
        (shuffled, [0, 2, 1, 3]),
        (lambda x: torch.cat([x[:, 2:], 0 * x[:, :1]], 1), [2, 3, NONE]),
        (lambda x: F.pixel_unshuffle(x, 2), [i // 4 for i in range(16)]),
        (lambda x: F.pixel_shuffle(x, 2), [MIXED]),
        (lambda x: x[:, :2] * x[:, 2:], [MIXED] * 2),
        (lambda x: F.group_norm(x, 2), [MIXED] * 4),
        (lambda x: (x > 0).float() + (x > 90).float(), [0, 1, 2, 3]),
        (lambda x: F.local_response_norm(x, 3), [MIXED] * 4),
    ],
)
def test_channels_behind_an_operation(function, expected):
    found = flow(Between(function, len(expected)), 2, 8, 8)
    assert found.arrivals["first"]["second"].tolist() == expected
    assert found.arrivals["first"]["norm"].tolist() == [0, 1, 2, 3]
    assert found.arrivals["second"]["head"].tolist() == [0, 1, 2]
    assert set(found.arrivals["head"]) == {OUTPUT}
    assert set(found.from_input) == {"first"}


class Joined(nn.Module):
    """An addition, a concatenation, the input itself, and a flatten; a threshold per channel."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 1)
        self.c, self.head = nn.Conv2d(5, 2, 1), nn.Linear(2 * 4, 2)
        self.threshold = nn.Parameter(torch.full((1, 3, 1, 1), 0.1))
        self.gain = nn.Parameter(torch.ones(4))

    def forward(self, x):
        s = Vector.apply(self.a(x) + self.b(x), self.threshold)
        return self.head((self.c(torch.cat([x, s], 1)) * self.gain.view(2, 2)).flatten(1))


def test_additions_concatenations_and_tensors_of_ones_own():
    found = flow(Joined(), 2, 2, 2)
    for name in ("a", "b", FreeTensor("threshold", 1)):
        assert found.arrivals[name]["c"].tolist() == [NONE, NONE, 0, 1, 2]
    assert found.arrivals["c"]["head"].tolist() == [0] * 4 + [1] * 4
    assert found.from_input["c"].tolist() == [True, True, False, False, False]
    # An entry of `gain` scales one position of all channels.
    assert found.arrivals[FreeTensor("gain", 0)]["head"].tolist() == [0, 1, 2, 3] * 2
    assert found.channels == {
        "a": 3, "b": 3, "c": 2, "head": 2, FreeTensor("threshold", 1): 3, FreeTensor("gain", 0): 4,
    }  # fmt: skip


def test_the_model_and_the_random_numbers_stay():
    model = Joined()
    before = {name: (value, value.clone()) for name, value in model.named_parameters()}
    torch.manual_seed(3)
    ChannelFlow(model, traced(model, torch.ones(1, 2, 2, 2), layout="batch"))
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    for name, value in model.named_parameters():
        assert value is before[name][0]
        assert torch.equal(value, before[name][1])


class Deciding(Between):
    """Its way through the net depends on activations."""

    def forward(self, x):
        y = self.first(x)
        while y.abs().max() > 3 and y.requires_grad is False and y.ndim < 5:
            y = self.first(y[:, :2])
        return self.head(self.second(y).mean((2, 3)))


def test_another_way_through_the_net_is_refused():
    with pytest.raises(ModelError, match="takes another way"):
        flow(Deciding(F.relu), 2, 8, 8)
