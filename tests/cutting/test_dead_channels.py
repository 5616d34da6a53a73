"""Channels without function after weight pruning: cut without any change, or kept and listed."""

import copy

import pytest
import torch
from spikingjelly.activation_based import functional, neuron
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikeprune import zoo
from spikeprune.cutting.dead_channels import dead_channels
from spikeprune.errors import ModelError
from spikeprune.execution.forward import forward
from spikeprune.science.masks import Mask, apply_
from spikeprune.wiring.cut_plan import apply_plan, plan_for
from spikeprune.wiring.tied_channels import channel_groups
from spikeprune.wiring.trace import trace

TINY = {name: {"width": 1 / 16} for name in zoo.NAMES} | {"vgg-small": {"widths": (4, 6, 8, 8)}}


def tiny(name, **changes):
    torch.manual_seed(0)
    shapes = {"classes": 5, "in_channels": 2, "image_size": 32, "time_steps": 3}
    model = zoo.build(name, **{**shapes, **TINY[name], **changes})
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.02, 0.3)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 1.0)
    return model.eval()


def prune(model, density, seed=0):
    """Keep a random share of every layer's weights (half of the classifier's)."""
    generator = torch.Generator().manual_seed(seed)
    shares = {"head.classifier.weight": 0.5}
    mask = Mask(
        {
            name: torch.rand(p.shape, generator=generator) < shares.get(name, density)
            for name, p in model.named_parameters()
            if p.dim() > 1
        }
    )
    apply_(dict(model.named_parameters()), mask)
    return mask


def find(model, mask, x):
    groups = channel_groups(model, x[:1], trace(model, x[:1]))
    found = dead_channels(model, groups, mask, run=lambda: forward(model, x[:1], time_steps=3))
    return groups, found


@torch.no_grad()
def run(model, x):
    functional.reset_net(model)
    return model(x)


@pytest.mark.parametrize("name", zoo.NAMES)
@pytest.mark.parametrize(
    ("kind", "reset", "density"),
    [("if", "soft", 0.05), ("lif", "hard", 0.03), ("plif", "hard", 0.01)],
)
def test_cutting_dead_channels_changes_nothing(name, kind, reset, density):
    model = tiny(name, neuron=kind, reset=reset)
    mask = prune(model, density)
    x = torch.randn(2, 2, 32, 32)
    groups, found = find(model, mask, x)
    before = run(model, x)
    cut = apply_plan(copy.deepcopy(model), plan_for(groups, found.live))
    dropped = sum(int((~live).sum()) for live in found.live.values())
    assert dropped > 0
    for batch in (x, 5 * torch.randn(2, 2, 32, 32), torch.zeros(1, 2, 32, 32)):
        assert torch.allclose(run(cut, batch), run(model, batch), atol=1e-5)
    assert torch.equal(run(model, x), before)
    for row in found.kept_though_inputs_dead:
        assert found.live[row["layer"]][row["channel"]]


def two_layers(bias, *, kind="if"):
    """A net whose second convolution's channels all have dead inputs, with the given shifts."""
    model = tiny("vgg-small", widths=(3, len(bias)), strides=(2, 1), neuron=kind, time_steps=5)
    norm = model.body.norm2
    norm.bias.data.copy_(torch.tensor(bias))
    norm.running_mean.zero_()
    mask = Mask({"body.conv2.weight": torch.zeros(len(bias), 3, 3, 3, dtype=torch.bool)})
    apply_(dict(model.named_parameters()), mask)
    return model, mask


def test_a_shift_that_fires_within_t_steps_keeps_its_channel():
    # IF, threshold 1: a drive of 0.3 fires in step 4, one of 0.15 not within 5 steps.
    model, mask = two_layers([0.3, 0.15, -1.0, 1.2])
    x = torch.randn(2, 2, 32, 32)
    groups = channel_groups(model, x[:1], trace(model, x[:1]))
    for steps, live in [(5, [True, False, False, True]), (3, [False, False, False, True])]:
        model.time_steps = steps
        found = dead_channels(
            model,
            groups,
            mask,
            run=lambda t=steps: forward(model, x[:1], time_steps=t),
        )
        assert found.live["body.conv2"].tolist() == live
        listed = [r["channel"] for r in found.kept_though_inputs_dead if r["layer"] == "body.conv2"]
        assert listed == [i for i, alive in enumerate(live) if alive]
        # All that the first layer did is lost on dead weights: one channel is left of it.
        assert found.live["stem.conv"].sum() == 1


def test_a_firing_channel_that_nobody_reads_is_cut():
    model, mask = two_layers([1.5, 1.5, 1.5])
    readers = torch.ones(5, 3, dtype=torch.bool)
    readers[:, 1] = False
    mask = Mask({**mask, "head.classifier.weight": readers})
    apply_(dict(model.named_parameters()), mask)
    x = torch.randn(2, 2, 32, 32)
    model.time_steps = 3
    _, found = find(model, mask, x)
    assert found.live["body.conv2"].tolist() == [True, False, True]


def test_what_only_a_silent_channel_feeds_is_silent_too():
    model = tiny("vgg-small", widths=(3, 2, 2), strides=(2, 1, 1))
    model.body.norm2.bias.data.copy_(torch.tensor([-1.0, 1.5]))
    model.body.norm3.bias.data.copy_(torch.tensor([-1.0, 1.5]))
    model.body.norm2.running_mean.zero_()
    model.body.norm3.running_mean.zero_()
    first = torch.ones(2, 3, 3, 3, dtype=torch.bool)
    first[0] = False  # channel 0 of conv2 has dead inputs and never fires
    second = torch.ones(2, 2, 3, 3, dtype=torch.bool)
    second[0, 1] = False  # channel 0 of conv3 reads it alone
    mask = Mask({"body.conv2.weight": first, "body.conv3.weight": second})
    apply_(dict(model.named_parameters()), mask)
    _, found = find(model, mask, torch.randn(1, 2, 32, 32))
    assert found.live["body.conv2"].tolist() == [False, True]
    assert found.live["body.conv3"].tolist() == [False, True]
    assert found.kept_though_inputs_dead == []


def test_a_layer_never_vanishes():
    model, mask = two_layers([-1.0, -1.0])
    model.time_steps = 3
    x = torch.randn(2, 2, 32, 32)
    groups, found = find(model, mask, x)
    assert found.live["body.conv2"].tolist() == [True, False]
    assert {"layer": "body.conv2", "channel": 0} in found.kept_though_inputs_dead
    cut = apply_plan(copy.deepcopy(model), plan_for(groups, found.live))
    assert torch.equal(run(cut, x), run(model, x))


def test_a_shortcut_keeps_a_channel_whose_own_inputs_are_dead():
    model = tiny("resnet19-post")
    weight = model.body.stage1[0].conv2.weight
    mask = Mask({"body.stage1.0.conv2.weight": torch.zeros_like(weight, dtype=torch.bool)})
    apply_(dict(model.named_parameters()), mask)
    for name, parameter in model.body.stage1[0].norm2.named_parameters():
        parameter.data.zero_() if name == "bias" else parameter.data.fill_(1.0)
    _, found = find(model, mask, torch.randn(1, 2, 32, 32))
    assert found.live.pop("body.stage1.0.conv1").sum() == 1  # it led to dead weights only
    assert all(live.all() for live in found.live.values())
    assert found.kept_though_inputs_dead == []


def test_the_model_comes_back_as_it_was():
    model = tiny("resnet19-pre")
    mask = prune(model, 0.05)
    model.train()
    model.body.stage1.eval()
    modes = [m.training for m in model.modules()]
    state = {k: v.clone() for k, v in model.state_dict().items()}
    find(model, mask, torch.randn(1, 2, 32, 32))
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(state[k], v) for k, v in model.state_dict().items())
    assert not any(m._forward_pre_hooks for m in model.modules())
    assert not any(
        isinstance(m.v, torch.Tensor) for m in model.modules() if isinstance(m, neuron.BaseNode)
    )


def test_an_unapplied_mask_is_refused():
    model = tiny("vgg-small")
    mask = Mask({"body.conv2.weight": torch.zeros(6, 4, 3, 3, dtype=torch.bool)})
    with pytest.raises(ModelError, match="apply the mask to the model before"):
        find(model, mask, torch.randn(1, 2, 32, 32))
