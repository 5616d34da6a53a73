"""The masked net and the cut net compute the same; a plan rebuilds the cut net without a trace."""

import copy
import functools
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikeprune import zoo
from spikeprune.errors import BudgetError, ConfigError, ModelError, RunError
from spikeprune.execution.memory_format import channels_last_is_safe
from spikeprune.science.masks import Mask, apply_
from spikeprune.wiring.channel_masks import channel_masks
from spikeprune.wiring.cut_plan import apply_plan, cut_mask, plan_for
from spikeprune.wiring.followed_channels import followed_channels
from spikeprune.wiring.tied_channels import channel_groups
from spikeprune.wiring.trace import trace, traced

TINY = {name: {"width": 1 / 16} for name in zoo.NAMES} | {"vgg-small": {"widths": (4, 6, 8, 8)}}
VARIANTS = [("if", "hard"), ("lif", "hard"), ("lif", "soft"), ("plif", "soft")]
MODELS = [
    *((name, {}) for name in zoo.NAMES),
    ("sew-resnet18", {"connect": "AND"}),
    ("sew-resnet18", {"connect": "IAND"}),
    ("vgg-small", {"head": "flatten", "hidden": (9,)}),
    ("resnet19-pre", {"head": "flatten"}),
]


def tiny(name, **changes):
    torch.manual_seed(0)
    shapes = {"classes": 5, "in_channels": 2, "image_size": 32, "time_steps": 3}
    model = zoo.build(name, **{**shapes, **TINY[name], **changes})
    excite(model)
    return model.eval()


def excite(model, generator=None):
    """Give norms and learnable neurons values that no default has, so that neurons fire."""
    generator = generator or torch.Generator().manual_seed(1)

    def draw(like, low, high):
        return torch.empty_like(like).uniform_(low, high, generator=generator)

    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean.copy_(draw(module.running_mean, -0.3, 0.3))
            module.running_var.copy_(draw(module.running_var, 0.3, 1.0))
            module.weight.data.copy_(draw(module.weight, -1.5, 1.5))
            module.bias.data.copy_(draw(module.bias, 0.0, 1.5))
        elif isinstance(module, nn.Linear) and module.bias is not None:
            module.bias.data.copy_(draw(module.bias, 0.0, 1.5))
        elif isinstance(module, neuron.ParametricLIFNode):
            module.w.data.add_(0.3)


def groups_of(model, example):
    return channel_groups(model, example[:1], trace(model, example[:1]))


def draw_live(groups, seed, share=0.5):
    generator = torch.Generator().manual_seed(seed)
    live = {}
    for group in groups:
        live[group.name] = torch.rand(group.channels, generator=generator) < share
        live[group.name][seed % group.channels] = True
    return live


def masked(model, groups, live):
    twin = copy.deepcopy(model)
    apply_(dict(twin.named_parameters()), channel_masks(model, groups, live))
    return twin


@torch.no_grad()
def run(model, x):
    functional.reset_net(model)
    return model(x)


def difference(model, groups, live, x):
    """Return the largest difference of logits, the cut net by way of JSON and a fresh net."""
    plan = json.loads(json.dumps(plan_for(groups, live)))
    whole = masked(model, groups, live)
    cut = apply_plan(copy.deepcopy(whole), plan)
    expected = run(whole, x)
    fresh = apply_plan(zoo.build(**model.arguments), plan).eval()
    fresh.load_state_dict(cut.state_dict(), strict=True)
    assert torch.equal(run(fresh, x), run(cut, x))
    assert list(cut.state_dict()) == list(model.state_dict())
    assert sum(p.numel() for p in cut.parameters()) < sum(p.numel() for p in model.parameters())
    # An untouched net would say something else: the comparison sees the cut channels.
    assert not torch.allclose(run(model, x), expected, atol=1e-3)
    return float((run(cut, x) - expected).abs().max())


def spikes(model, x):
    counts = []
    hooks = [
        m.register_forward_hook(lambda module, args, out: counts.append(float(out.mean())))
        for m in model.modules()
        if isinstance(m, neuron.BaseNode)
    ]
    run(model, x)
    for hook in hooks:
        hook.remove()
    return counts


@pytest.mark.parametrize(("name", "arguments"), MODELS)
@pytest.mark.parametrize(("kind", "reset"), VARIANTS)
def test_masked_net_equals_cut_net(name, arguments, kind, reset):
    model = tiny(name, neuron=kind, reset=reset, **arguments)
    x = torch.randn(2, 2, 32, 32)
    rates = spikes(model, x)
    assert min(rates) > 0.01, "a silent net proves nothing"
    assert min(rates) < 0.99
    groups = groups_of(model, x)
    for seed in (1, 2):
        assert difference(model, groups, draw_live(groups, seed), x) < 1e-5


@pytest.mark.parametrize("name", ["vgg-small", "resnet19-pre", "sew-resnet18"])
def test_paper_weight_neuron_events_and_single_channels(name):
    model = tiny(name, preset="paper-weight")
    x = torch.randn(3, 2, 2, 32, 32)
    groups = groups_of(model, x[0])
    assert difference(model, groups, draw_live(groups, 3, share=0.0), x) < 1e-5


SIZES = (4, 6, 8, 8, 6)


@functools.cache
def small():
    model = tiny("vgg-small", head="flatten", hidden=(6,), image_size=16, reset="soft")
    x = torch.randn(2, 2, 16, 16, generator=torch.Generator().manual_seed(5))
    return model, x, groups_of(model, x)


@settings(max_examples=25, deadline=None)
@given(st.tuples(*(st.sets(st.integers(0, size - 1), min_size=1) for size in SIZES)))
def test_any_channels_can_be_cut(kept):
    model, x, groups = small()
    live = {
        group.name: torch.tensor([i in keep for i in range(group.channels)])
        for group, keep in zip(groups, kept, strict=True)
    }
    whole = masked(model, groups, live)
    cut = apply_plan(copy.deepcopy(whole), plan_for(groups, live))
    assert torch.allclose(run(cut, x), run(whole, x), atol=1e-5)
    sizes = [len(m.weight) for m in cut.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert sizes == [*(len(keep) for keep in kept), 5]


def test_a_cut_net_trains_and_is_consistent_with_itself():
    # Wide enough that PyTorch can train the cut net with its channels last.
    model = tiny("resnet19-post", width=1 / 2).train()
    x = torch.randn(2, 2, 32, 32)
    model(x)  # leaves membrane potentials of the old size behind
    model.stem.conv.weight.requires_grad_(False)
    model.to(memory_format=torch.channels_last)
    groups = groups_of(model, x)
    apply_plan(model, plan_for(groups, draw_live(groups, 1)))
    nodes = [m for m in model.modules() if isinstance(m, neuron.BaseNode)]
    assert not any(isinstance(node.v, torch.Tensor) for node in nodes)
    assert model.training
    assert not model.stem.conv.weight.requires_grad
    assert model.body.stage1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert channels_last_is_safe(model)
    model(x).sum().backward()
    functional.reset_net(model)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.shape[:2] == (module.out_channels, module.in_channels)
        elif isinstance(module, nn.Linear):
            assert module.weight.shape == (module.out_features, module.in_features)
        elif isinstance(module, _BatchNorm):
            assert module.running_var.shape == module.bias.shape == (module.num_features,)
    again = groups_of(model, x)  # the cut net can be looked at, and cut, again
    assert [g.name for g in again] == [g.name for g in groups]
    apply_plan(model, plan_for(again, draw_live(again, 2)))
    assert model(x).shape == (3, 2, 5)


def test_masks_follow_the_cut():
    model = tiny("vgg-small")
    groups = groups_of(model, torch.randn(1, 2, 32, 32))
    live = draw_live(groups, 4)
    generator = torch.Generator().manual_seed(0)
    mask = Mask(
        {
            n: torch.rand(p.shape, generator=generator) < 0.3
            for n, p in model.named_parameters()
            if p.dim() > 1
        }
    )
    apply_(dict(model.named_parameters()), mask)
    plan = plan_for(groups, live)
    smaller = cut_mask(model, mask, plan)
    apply_plan(model, plan)
    parameters = dict(model.named_parameters())
    for name, tensor in smaller.items():
        assert torch.equal(tensor, parameters[name] != 0)


def test_all_live_is_an_empty_plan():
    model, _, groups = small()
    assert plan_for(groups, {}) == {"version": 1, "modules": {}}
    assert channel_masks(model, groups, {}).density == 1.0


class GainIF(neuron.IFNode):
    """A neuron with one gain per channel."""

    def __init__(self, channels):
        super().__init__(v_reset=None)
        self.gain = nn.Parameter(torch.linspace(0.5, 2.0, channels).view(-1, 1, 1))

    def single_step_functional_forward(self, inputs, states, **kwargs):
        return super().single_step_functional_forward((inputs[0] * self.gain,), states, **kwargs)


class Joined(nn.Module):
    """Two branches concatenated, a depthwise convolution, a neuron with a state per channel."""

    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(layer.Conv2d(2, 3, 3), nn.BatchNorm2d(3), neuron.LIFNode())
        self.b = nn.Sequential(layer.Conv2d(2, 5, 3), nn.BatchNorm2d(5), neuron.LIFNode())
        self.depthwise = layer.Conv2d(8, 8, 3, groups=8)
        self.norm = nn.BatchNorm2d(8)
        self.node = GainIF(8)
        self.head = layer.Linear(8 * 16, 3)

    def forward(self, x):
        joined = torch.cat([self.a(x), self.b(x)], 1)
        return self.head(self.node(self.norm(self.depthwise(joined))).flatten(1))


def test_concatenation_depthwise_and_state_per_channel():
    torch.manual_seed(0)
    model = Joined().eval()
    excite(model)
    x = 3 * torch.randn(2, 2, 8, 8)
    groups, left = followed_channels(model, traced(model, x, time_steps=1, layout="step"))
    assert left == {}
    whole = masked(model, groups, live := draw_live(groups, 1))
    cut = apply_plan(copy.deepcopy(whole), plan_for(groups, live))
    kept = sum(int(v.sum()) for v in live.values())
    assert cut.depthwise.groups == cut.depthwise.in_channels == kept
    assert cut.node.gain.shape == (kept, 1, 1)
    a, b = run(whole, x), run(cut, x)
    assert not torch.allclose(a, run(model, x), atol=1e-3)
    assert torch.allclose(a, b, atol=1e-5)


def test_without_norms_the_bias_is_silenced():
    torch.manual_seed(0)
    model = nn.Sequential(
        layer.Conv2d(2, 6, 3, stride=2), neuron.IFNode(), layer.Flatten(),
        layer.Linear(6 * 9, 7), neuron.IFNode(), layer.Linear(7, 3),
    ).eval()  # fmt: skip
    for index in (0, 3):
        nn.init.uniform_(model[index].bias, 0.5, 2.0)
    x = torch.randn(2, 2, 8, 8)
    groups = groups_of(model, x)
    live = draw_live(groups, 1)
    whole = masked(model, groups, live)
    cut = apply_plan(copy.deepcopy(whole), plan_for(groups, live))
    assert not torch.allclose(run(model, x), run(whole, x), atol=1e-3)
    assert torch.allclose(run(cut, x), run(whole, x), atol=1e-5)


def test_errors():
    model, _, groups = small()
    live = {groups[1].name: torch.zeros(6, dtype=torch.bool)}
    with pytest.raises(BudgetError, match=r"at least one live channel in 'body.conv2'"):
        plan_for(groups, live)
    with pytest.raises(ConfigError, match="unknown channel group 'nowhere'"):
        plan_for(groups, {"nowhere": torch.ones(1, dtype=torch.bool)})
    with pytest.raises(ConfigError, match="bool tensor of shape"):
        channel_masks(model, groups, {"body.conv2": torch.ones(6)})
    plan = plan_for(groups, draw_live(groups, 1))
    with pytest.raises(ModelError, match="plan does not fit: it expects"):
        apply_plan(tiny("vgg-small", widths=(8, 6, 8, 8)), plan)
    with pytest.raises(ModelError, match="no such layer"):
        apply_plan(tiny("sew-resnet18"), plan)
    with pytest.raises(ModelError, match="plan of version 1, got 2"):
        apply_plan(tiny("vgg-small"), {"version": 2, "modules": {}})


@pytest.mark.parametrize("kept", [[], [-1, 0], [0, 6], [1, 0], [0, 0], [0.0], [True], "01", None])
def test_positions_that_a_layer_does_not_have_are_refused(kept):
    model, _, groups = small()
    plan = plan_for(groups, draw_live(groups, 1))
    plan["modules"]["body.conv2"]["out"] = kept
    before = {name: tuple(p.shape) for name, p in model.named_parameters()}
    rising = r"rising positions from 0 to 5 in 'body.conv2'|channel plan is damaged .*modules"
    with pytest.raises((ModelError, RunError), match=rising):
        apply_plan(model, plan)
    assert {name: tuple(p.shape) for name, p in model.named_parameters()} == before
