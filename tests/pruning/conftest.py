"""Small nets with channels of every kind, and the masks of one."""

import functools
from typing import NamedTuple

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from spikeprune import zoo
from spikeprune.pruning.channels.channel_cost import cost_model
from spikeprune.pruning.criteria.inputs import Observations
from spikeprune.pruning.events.schedule import PlannedEvent
from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.weights.weight_masks import WeightMasks
from spikeprune.wiring.tied_channels import ChannelGroup, channel_groups
from spikeprune.wiring.trace import trace
from spikeprune.wiring.wiring import Wiring


class Residual(nn.Module):
    """Tied channels (first, second), a plain group (inner), a norm behind a flatten, biases."""

    def __init__(self):
        super().__init__()
        self.first, self.norm1, self.spike1 = self.part(2, 6)
        self.inner, self.norm2, self.spike2 = self.part(6, 5)
        self.second, self.norm3, self.spike3 = self.part(5, 6)
        self.flatten, self.norm4 = layer.Flatten(), layer.BatchNorm1d(6 * 4)
        self.spike4, self.head = neuron.IFNode(), layer.Linear(6 * 4, 3)

    @staticmethod
    def part(inputs, outputs):
        conv = layer.Conv2d(inputs, outputs, 3, padding=1, bias=True)
        return conv, layer.BatchNorm2d(outputs), neuron.ParametricLIFNode()

    def forward(self, x):
        x = self.spike1(self.norm1(self.first(x)))
        y = self.spike2(self.norm2(self.inner(x)))
        x = x + self.spike3(self.norm3(self.second(y)))
        return self.head(self.spike4(self.norm4(self.flatten(x))))


class Depthwise(nn.Sequential):
    """A depthwise convolution between two others: its channels are those of the first."""

    def __init__(self):
        super().__init__()
        self.first, self.norm1, self.spike1 = self.part(2, 6)
        self.depth, self.norm2, self.spike2 = self.part(6, 6, groups=6)
        self.last, self.norm3, self.spike3 = self.part(6, 5)
        self.flatten, self.head = layer.Flatten(), layer.Linear(5 * 16, 3)

    @staticmethod
    def part(inputs, outputs, groups=1):
        conv = layer.Conv2d(inputs, outputs, 3, padding=1, bias=False, groups=groups)
        return conv, layer.BatchNorm2d(outputs), neuron.IFNode()


def vgg_small():
    return zoo.build(
        "vgg-small",
        classes=3,
        in_channels=2,
        image_size=8,
        time_steps=2,
        widths=(4, 6, 8),
        strides=(2, 1, 2),
        head="flatten",
        hidden=(7,),
        neuron="plif",
    )


BUILDERS = {"residual": (Residual, 2), "vgg-small": (vgg_small, 8), "depthwise": (Depthwise, 4)}


class Traced(NamedTuple):
    """A net, one slice of its input, and what its traces found."""

    model: nn.Module
    example: torch.Tensor
    groups: tuple[ChannelGroup, ...]
    wiring: Wiring

    def cost(self, budget, **changes):
        return cost_model(self.model, self.groups, self.wiring, budget=budget, **changes)

    def draw(self, seed, *, levels=None):
        """One number a channel, by group; with `levels`, of few values."""
        generator = torch.Generator().manual_seed(seed)
        if levels is None:
            return {g.name: torch.rand(g.channels, generator=generator) for g in self.groups}
        return {
            g.name: torch.randint(levels, (g.channels,), generator=generator).float()
            for g in self.groups
        }


@pytest.fixture(scope="session")
def traced():
    """`traced(name)`, the net of a name; nobody may change it."""

    @functools.cache
    def make(name):
        torch.manual_seed(0)
        build, size = BUILDERS[name]
        model, example = build(), torch.zeros(2, 2, size, size)
        wiring = trace(model, example)
        return Traced(model, example, channel_groups(model, example, wiring), wiring)

    return make


class Block(nn.Module):
    """`stem` and `second` are tied by an addition, `inner` is not; `tail` drives no neuron."""

    def __init__(self, tail=False):
        super().__init__()
        self.stem, self.norm1, self.spike1 = self.part(2, 4)
        self.inner, self.norm2, self.spike2 = self.part(4, 6)
        self.second, self.norm3, self.spike3 = self.part(6, 4)
        self.tail = layer.Conv2d(4, 4, 1, bias=False) if tail else nn.Identity()
        self.norm4 = layer.BatchNorm2d(4)
        self.flatten, self.head = layer.Flatten(), layer.Linear(4 * 16, 3)

    @staticmethod
    def part(inputs, outputs):
        conv = layer.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return conv, layer.BatchNorm2d(outputs), neuron.LIFNode()

    def forward(self, x):
        x = self.spike1(self.norm1(self.stem(x)))
        x = x + self.spike3(self.norm3(self.second(self.spike2(self.norm2(self.inner(x))))))
        return self.head(self.flatten(self.norm4(self.tail(x))))


@pytest.fixture
def masked():
    """`masked(kind, ...)`: a block and its masks, of single weights or of channels."""

    def make(kind, model=None, *, tail=False, dense_synops=None, **options):
        torch.manual_seed(0)
        model = model or Block(tail)
        example = torch.zeros(1, 2, 4, 4)
        granularity = "weight" if kind is WeightMasks else "channel"
        options = PruneOptions.of(**{"sparsity": 0.5, "granularity": granularity} | options)
        masks = kind(
            model,
            trace(model, example),
            options,
            example=example,
            time_steps=2,
            dense_synops=dense_synops,
        )
        return model, masks

    return make


@pytest.fixture
def run_event():
    """`run_event(masks, density, ...)`: run one event on what was observed."""

    def run(masks, density=0.5, *, within=None, **seen):
        observations = Observations(torch.Generator().manual_seed(0), **seen)
        return masks.event(PlannedEvent(density, masks._options, within or {}), observations)

    return run
