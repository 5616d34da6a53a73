"""Groups of tied channels: complete, tied where additions tie, refused where not followable."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikeprune import zoo
from spikeprune.adapters.registry import spiking_neurons
from spikeprune.errors import ModelError
from spikeprune.wiring.tied_channels import channel_groups
from spikeprune.wiring.trace import trace

TINY = {name: {"width": 1 / 16} for name in zoo.NAMES} | {"vgg-small": {"widths": (4, 6, 8, 8)}}


def tiny(name, **changes):
    torch.manual_seed(0)
    shapes = {"classes": 5, "in_channels": 2, "image_size": 32, "time_steps": 2}
    return zoo.build(name, **{**shapes, **TINY[name], **changes})


def groups_of(model, example=None):
    example = torch.randn(1, 2, 32, 32) if example is None else example
    return channel_groups(model, example, trace(model, example))


def layers(model):
    return {n for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}


@pytest.mark.parametrize("name", zoo.NAMES)
def test_every_layer_norm_and_neuron_is_in_a_group(name):
    model = tiny(name)
    groups = groups_of(model)
    producers = [p for g in groups for p in g.producers]
    assert sorted(producers) == sorted(layers(model) - {"head.classifier"})
    assert {c for g in groups for c in g.consumers} == layers(model) - {"stem.conv"}
    norms = {n for n, m in model.named_modules() if isinstance(m, _BatchNorm)}
    assert sorted(n for g in groups for n in g.norms) == sorted(norms)
    assert sorted(n for g in groups for n in g.neurons) == sorted(spiking_neurons(model))
    assert [g.name for g in groups] == [g.producers[0] for g in groups]


@pytest.mark.parametrize("name", zoo.NAMES)
def test_indices_cover_every_dimension_once(name):
    model = tiny(name, head="flatten")
    groups = groups_of(model)
    for group in groups:
        for member in group.members:
            assert member.index.shape[0] == group.channels
            assert sorted(member.index.flatten().tolist()) == list(range(member.size))


@pytest.mark.parametrize("name", zoo.NAMES)
def test_tracing_leaves_the_model_as_it_was(name):
    model = tiny(name)
    model.stem.requires_grad_(False)
    model.body.eval()
    keys, modes = list(model.state_dict()), [m.training for m in model.modules()]
    values = [v.clone() for v in model.state_dict().values()]
    groups_of(model)
    assert list(model.state_dict()) == keys
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(a, b) for a, b in zip(values, model.state_dict().values(), strict=True))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert model(torch.randn(1, 2, 32, 32)).shape == (2, 1, 5)


def test_residual_stages_are_tied():
    by_name = {g.name: g for g in groups_of(tiny("sew-resnet18"))}
    assert set(by_name["stem.conv"].producers) == {
        "stem.conv",
        "body.stage1.0.conv2",
        "body.stage1.1.conv2",
    }
    assert set(by_name["body.stage2.0.conv2"].producers) == {
        "body.stage2.0.conv2",
        "body.stage2.0.shortcut.conv",
        "body.stage2.1.conv2",
    }
    assert len(by_name) == 12
    pre = {g.name: g for g in groups_of(tiny("resnet19-pre"))}
    assert "body.stage3.0.norm1" in pre["body.stage2.0.conv2"].norms
    assert set(pre["stem.conv"].neurons) == {"body.stage1.0.spike1"}


def test_flattened_channels_own_their_pixels():
    model = tiny("vgg-small", head="flatten", hidden=(7,), strides=(2, 2, 2, 1))
    by_name = {g.name: g for g in groups_of(model)}
    (last,) = [m for m in by_name["body.conv4"].members if m.role == "in"]
    assert last.module == "head.hidden1"
    assert torch.equal(last.index, torch.arange(8 * 16).view(8, 16))
    assert by_name["head.hidden1"].channels == 7


class Net(nn.Module):
    """Two layers around whatever a test puts between them."""

    def __init__(self, *between, channels=4):
        super().__init__()
        self.first = layer.Conv2d(2, 4, 3, padding=1)
        self.between = nn.Sequential(*between)
        self.last = layer.Linear(channels, 3)

    def forward(self, x):
        return self.last(self.between(self.first(x)).mean((2, 3)))


@pytest.mark.parametrize(
    ("between", "message"),
    [
        ([nn.GroupNorm(2, 4), neuron.IFNode()], "between.0.*GroupNorm"),
        ([nn.BatchNorm2d(4, affine=False), neuron.IFNode()], "between.0.*affine"),
        ([neuron.IFNode(), layer.Conv2d(4, 4, 3, groups=2)], "between.1.*with 2 groups"),
        ([neuron.IFNode(v_threshold=-1.0)], "between.0.*fires"),
        ([neuron.IFNode(), layer.WSConv2d(4, 4, 3)], "between.1.*WSConv2d"),
    ],
)
def test_what_cannot_be_cut_is_refused_by_name(between, message):
    net = Net(*between)
    wiring = trace(Net(neuron.IFNode()), torch.randn(1, 2, 8, 8))
    neurons = {f"between.{i}": 4 for i, m in enumerate(between) if isinstance(m, neuron.IFNode)}
    extra = dict.fromkeys(layers(net) - set(wiring.layers), wiring.layers["last"])
    wiring = type(wiring)(layers={**wiring.layers, **extra}, neurons=neurons)
    with pytest.raises(ModelError, match=message):
        channel_groups(net, torch.randn(1, 2, 8, 8), wiring)


def test_attention_is_refused():
    class Attention(nn.Module):
        def forward(self, x):
            flat = x.flatten(2)
            return ((flat @ flat.transpose(1, 2)) @ flat).view(x.shape)

    good = Net(neuron.IFNode(), nn.Identity())
    bad = Net(neuron.IFNode(), Attention())
    example = torch.randn(1, 2, 8, 8)
    with pytest.raises(ModelError, match="mixed by layers only"):
        channel_groups(bad, example, trace(good, example))


def test_a_layer_outside_the_trace_is_refused():
    net = Net(neuron.IFNode())
    example = torch.randn(1, 2, 8, 8)
    wiring = trace(net, example)
    net.spare = layer.Linear(3, 3)
    with pytest.raises(ModelError, match="these are missing: spare"):
        channel_groups(net, example, wiring)


def test_depthwise_convolutions_are_followed():
    net = Net(nn.BatchNorm2d(4), neuron.IFNode(), layer.Conv2d(4, 4, 3, groups=4), neuron.IFNode())
    (group,) = groups_of(net, torch.randn(1, 2, 8, 8))
    assert group.producers == ("first", "between.2")
    assert group.consumers == ("last",)


def test_multi_step_models_are_traced_too():
    net = Net(layer.BatchNorm2d(4), neuron.IFNode(), nn.Flatten(-3), channels=4 * 64)
    net.forward = lambda x: net.last(net.between(net.first(x)))
    functional.set_step_mode(net, "m")
    assert [g.name for g in groups_of(net, torch.randn(1, 2, 8, 8))] == ["first"]
