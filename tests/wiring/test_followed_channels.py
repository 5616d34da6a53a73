"""Groups of channels in nets of any neuron: as counted by hand, and cut without a difference."""

import copy
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import layer, neuron
from torch import nn
from torch.nn import functional as F

from spikeprune import zoo
from spikeprune.science.masks import apply_
from spikeprune.wiring.channel_masks import channel_masks
from spikeprune.wiring.cut_plan import apply_plan, plan_for
from spikeprune.wiring.followed_channels import followed_channels
from spikeprune.wiring.tied_channels import channel_groups
from spikeprune.wiring.trace import traced

T = 3


class Fire(torch.autograd.Function):
    """A step at a threshold, in any floating type."""

    @staticmethod
    def forward(ctx, mem, threshold):
        ctx.save_for_backward(mem)
        return (mem > threshold).to(mem)

    @staticmethod
    def backward(ctx, g):
        return g / (1 + ctx.saved_tensors[0] ** 2), None


class LIF(nn.Module):
    """A neuron that may have a threshold and a decay per channel."""

    def __init__(self, channels, axes=4, *, learned=False):
        super().__init__()
        shape = (1, channels, *[1] * (axes - 2))
        self.learned = learned
        if learned:
            self.threshold = nn.Parameter(0.1 + 0.4 * torch.rand(shape))
            self.register_buffer("decay", torch.rand(channels))
        self.mem = None

    def reset(self):
        self.mem = None

    def forward(self, x):
        decay = self.decay.view(-1, *[1] * (x.ndim - 2)) if self.learned else 0.5
        self.mem = x if self.mem is None else decay * self.mem + x
        spikes = Fire.apply(self.mem, self.threshold if self.learned else 0.3)
        self.mem = self.mem * (1 - spikes)
        return spikes


class Stage(nn.Module):
    """One stage of a random net."""

    def __init__(self, kind, inputs, outputs, *, norm, learned):
        super().__init__()
        depthwise = kind == "depthwise"
        outputs = inputs if kind in ("residual", "depthwise") else outputs
        groups = inputs if depthwise else 1
        self.kind, self.outputs = kind, outputs + (inputs if kind == "concat" else 0)
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups)
        self.norm = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.lif = LIF(outputs, learned=learned)

    def forward(self, x):
        s = self.lif(self.norm(self.conv(x)))
        if self.kind == "concat":
            return torch.cat([x, s], 1)
        return x + s if self.kind == "residual" else s


class RandomNet(nn.Module):
    """Stages by name; the time loop is in the forward."""

    def __init__(self, stages, *, flat):
        super().__init__()
        parts, channels, self.flat = [], 2, flat
        for number, (kind, norm, learned) in enumerate([("plain", True, False), *stages]):
            parts.append(Stage(kind, channels, 3 + number, norm=norm, learned=learned))
            channels = parts[-1].outputs
        self.stages = nn.Sequential(*parts)
        self.hidden = nn.Linear(channels * (4 if flat else 1), 5)
        self.lif, self.head = LIF(5, 2, learned=True), nn.Linear(5, 3)

    def forward(self, x):
        for module in self.modules():
            if isinstance(module, LIF):
                module.reset()
        total = 0
        for _ in range(T):
            s = F.max_pool2d(self.stages(x), 2)
            s = s.flatten(1) if self.flat else s.mean((2, 3))
            total = total + self.head(self.lif(self.hidden(s)))
        return total / T


def excite(model):
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_mean.uniform_(-0.3, 0.3)
        norm.weight.data.uniform_(0.5, 1.5)
        norm.bias.data.uniform_(0, 0.5)


def followed(model, example, **changes):
    return followed_channels(model, traced(model, example, time_steps=T, **changes))


def drawn(groups, seed):
    draw = torch.Generator().manual_seed(seed)
    live = {g.name: torch.rand(g.channels, generator=draw) < 0.5 for g in groups}
    for alive in live.values():
        alive[seed % len(alive)] = True
    return live


KINDS = st.sampled_from(["plain", "residual", "concat", "depthwise"])


@settings(max_examples=6, deadline=None)
@given(
    st.lists(st.tuples(KINDS, st.booleans(), st.booleans()), min_size=1, max_size=2),
    st.booleans(),
    st.integers(0, 99),
)
@torch.no_grad()
def test_random_nets_with_random_dead_channels_equal_their_cut(stages, flat, seed):
    torch.manual_seed(seed)
    model = RandomNet(stages, flat=flat).eval().double()
    excite(model)
    x = 2 * torch.randn(4, 2, 4, 4).double()
    groups, whole = followed(model, x[:1])
    assert whole == {}
    live = drawn(groups, seed)
    masked = copy.deepcopy(model)
    apply_(dict(masked.named_parameters()), channel_masks(masked, groups, live))
    cut = apply_plan(copy.deepcopy(masked), plan_for(groups, live))
    torch.testing.assert_close(cut(x), masked(x), atol=1e-9, rtol=1e-9)
    producers = {name for group in groups for name in group.producers}
    layers = {n for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    assert producers == layers - {"head"}
    for group in groups:
        for member in group.of("out", "norm", "site"):
            assert member.index.shape == (group.channels, 1)


def test_members_are_those_counted_by_hand():
    torch.manual_seed(0)
    model = RandomNet([("residual", False, True), ("concat", True, False)], flat=True).eval()
    groups, _ = followed(model, torch.randn(1, 2, 4, 4))
    first, second, third = (
        {(m.module, m.role): (*m.index.shape, m.size) for m in group.members} for group in groups
    )
    assert first == {
        ("stages.0.conv", "out"): (3, 1, 3),
        ("stages.1.conv", "out"): (3, 1, 3),
        ("stages.1.conv", "in"): (3, 1, 3),
        ("stages.2.conv", "in"): (3, 1, 3),
        ("hidden", "in"): (3, 4, 32),
        ("stages.0.norm", "norm"): (3, 1, 3),
        ("stages.0.lif", "site"): (3, 1, 3),
        ("stages.1.lif", "site"): (3, 1, 3),
        ("stages.1.lif.threshold", "tensor"): (3, 1, 3),
        ("stages.1.lif.decay", "tensor"): (3, 1, 3),
    }
    assert second[("hidden", "in")] == (5, 4, 32)
    assert third == {
        ("hidden", "out"): (5, 1, 5),
        ("head", "in"): (5, 1, 5),
        ("lif", "site"): (5, 1, 5),
        ("lif.threshold", "tensor"): (5, 1, 5),
        ("lif.decay", "tensor"): (5, 1, 5),
    }


@pytest.mark.parametrize("name", ["vgg-small", "sew-resnet18"])
def test_they_are_the_groups_of_one_slice_through_the_net(name):
    widths = (
        {"widths": (4, 6, 8), "strides": (2, 1, 2)} if name == "vgg-small" else {"width": 1 / 16}
    )
    shapes = {"classes": 3, "in_channels": 2, "image_size": 16, "time_steps": T, "head": "flatten"}
    model, x = zoo.build(name, **shapes, **widths), torch.randn(1, 2, 16, 16)
    trace = traced(model, x, time_steps=T)

    def plain(groups):
        return [
            (
                g.name,
                g.channels,
                sorted((m.module, m.role, m.size, m.index.tolist()) for m in g.members),
            )
            for g in groups
        ]

    groups, whole = followed_channels(model, trace)
    assert plain(groups) == plain(channel_groups(model, x, trace.wiring()))
    assert whole == {}


class Middle(nn.Module):
    """A block whose channels can be cut, what a test puts in the middle, and another block."""

    def __init__(self, *middle):
        super().__init__()
        self.a, self.lif_a = nn.Conv2d(2, 4, 3, padding=1), LIF(4)
        self.b, self.middle, self.lif_b = nn.Conv2d(4, 4, 1), nn.Sequential(*middle), LIF(4)
        self.c, self.lif_c, self.head = nn.Conv2d(4, 6, 1), LIF(6), nn.Linear(6, 3)

    def forward(self, x):
        s = self.lif_b(self.middle(self.b(self.lif_a(self.a(x)))))
        return self.head(self.lif_c(self.c(s)).mean((2, 3)))


class Square(nn.Module):
    """A scale of as many rows as columns."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(4, 4, 1))

    def forward(self, x):
        return x * self.scale


@pytest.mark.parametrize(
    ("middle", "why"),
    [
        ([nn.GroupNorm(2, 4)], "channels of 'b' are mixed on the way to 'lif_b'"),
        ([nn.BatchNorm2d(4, affine=False)], "got 'middle.0' without"),
        ([nn.Conv2d(4, 4, 1, groups=2)], "'middle.0' with 2 groups"),
        ([layer.WSConv2d(4, 4, 1)], "'middle.0' .WSConv2d., which computes its weight"),
        ([nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 1))], "'middle.0'"),
        ([Square()], "which axis of 'middle.0.scale', of shape .4, 4, 1."),
        ([neuron.IFNode(v_threshold=-1.0)], "'middle.0', which fires"),
    ],
)
def test_what_cannot_be_cut_is_left_whole_and_the_rest_is_not(middle, why):
    torch.manual_seed(0)
    groups, whole = followed(Middle(*middle), torch.randn(1, 2, 4, 4), layout="step")
    assert [group.name for group in groups] == ["a", "c"]
    assert re.search(why, whole["b"])
