"""From the masked to the cut net: the same logits, the user's classes and names, or an error."""

import copy
import json

import pytest
import torch
from spikingjelly.activation_based import encoding, functional, layer, neuron
from torch import nn

from spikeprune import zoo
from spikeprune.cutting.compact import compact, cut
from spikeprune.errors import ModelError
from spikeprune.execution.forward import forward
from spikeprune.pruning.option_types import ChannelOptions
from spikeprune.pruning.pruner import Pruner
from spikeprune.training.losses import loss_by_name
from spikeprune.wiring import cut_proof
from spikeprune.wiring.cut_plan import apply_plan

T = 3
LOSS = loss_by_name("mean-logits")
NETS = {
    "vgg-small": {"widths": (8, 8, 8), "strides": (2, 1, 1)},
    "sew-resnet18": {"width": 1 / 16},
    "resnet19-post": {"width": 1 / 32},
}


def build(name, **changes):
    torch.manual_seed(0)
    shapes = {"classes": 3, "in_channels": 2, "image_size": 8, "time_steps": T}
    return zoo.build(name, **{**shapes, **NETS[name], **changes})


def images(seed, size=4):
    return torch.randn(size, 2, 8, 8, generator=torch.Generator().manual_seed(seed))


def trained(model, *, steps=3, layout="sequence", shape=(1, 2, 8, 8), **options):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    options = {"total_steps": steps, "every": 1} | options
    example = torch.zeros(shape)
    pruner = Pruner(model, optimizer, example, time_steps=T, layout=layout, **options)
    for step in range(steps):
        optimizer.zero_grad()
        x = images(step) if len(shape) == 4 else torch.randn(8, *shape[1:])
        logits = forward(model, x, time_steps=T, layout=layout)
        LOSS(logits, torch.arange(len(x)) % 3).backward()
        optimizer.step()
        pruner.step()
    return pruner


@torch.no_grad()
def logits(model, x=None):
    return forward(model, images(50) if x is None else x, time_steps=T)


def size(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(
    "options",
    [
        {"sparsity": 0.96, "regrow": "none"},
        {"sparsity": 0.97, "regrow_fraction": 0.2},
        {"sparsity": 0.5, "granularity": "channel", "regrow_fraction": 0.1},
    ],
)
def test_the_cut_net_computes_what_the_masked_net_computes(options, name, reset):
    pruner = trained(build(name, reset=reset), **options)
    model, kind, keys = pruner.model, type(pruner.model), list(pruner.model.state_dict())
    functional.reset_net(model)
    masked = copy.deepcopy(model.eval())
    model.train()
    result = cut(pruner, images(9))
    assert result.model is model
    assert model.training
    assert result.difference <= 1e-5 * max(1.0, float(logits(masked).abs().max()))
    assert result.notes == ()
    torch.testing.assert_close(logits(model.eval()), logits(masked), atol=1e-5, rtol=1e-5)
    assert type(model) is kind
    assert list(model.state_dict()) == keys
    assert size(model) < size(masked)
    named = dict(model.named_parameters())
    assert all(mask.shape == named[n].shape for n, mask in result.mask.items())
    assert all(not named[n].detach()[~mask].any() for n, mask in result.mask.items())
    widths = {n: len(model.get_submodule(n).weight) for n in result.after}
    assert result.after == widths
    assert result.before == {n: len(masked.get_submodule(n).weight) for n in widths}
    assert sum(result.after.values()) < sum(result.before.values())


def test_the_plan_rebuilds_the_cut_net_without_the_pruner():
    pruner = trained(build("vgg-small"), sparsity=0.96)
    result = cut(pruner)
    again = apply_plan(build("vgg-small"), json.loads(json.dumps(result.plan)))
    again.load_state_dict(result.model.state_dict())
    assert torch.equal(logits(again.eval()), logits(result.model.eval()))


def test_compact_returns_the_user_s_model_ready_to_be_trained():
    pruner = trained(build("vgg-small"), sparsity=0.5, granularity="channel")
    model = pruner.model
    assert compact(pruner) is model
    assert not any(m._forward_pre_hooks for m in model.modules())
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = size(model)
    for step in range(2):
        optimizer.zero_grad()
        LOSS(forward(model, images(step, 7), time_steps=T), torch.arange(7) % 3).backward()
        optimizer.step()
    assert size(model) == before


def test_every_mode_and_the_rest_of_the_neurons_stay():
    pruner = trained(build("vgg-small"), sparsity=0.96)
    model = pruner.model
    model.stem.norm.eval()  # a frozen norm
    modes = [m.training for m in model.modules()]
    cut(pruner)
    assert [m.training for m in model.modules()] == modes
    assert all(m.v == 0.0 for m in model.modules() if isinstance(m, neuron.BaseNode))


def test_a_net_in_single_step_mode():
    torch.manual_seed(0)
    net = nn.Sequential(
        layer.Conv2d(2, 6, 3, padding=1), layer.BatchNorm2d(6), neuron.IFNode(),
        layer.Flatten(), layer.Linear(6 * 64, 3),
    )  # fmt: skip
    pruner = trained(net, sparsity=0.5, granularity="channel", layout="step")
    result = cut(pruner)
    assert result.after == {"0": 3}
    assert result.difference <= 1e-5
    functional.reset_net(net)
    assert net(images(0)).shape == (4, 3)


class Grouped(nn.Module):
    """Channels of a grouped convolution cannot be cut one by one; weights can be pruned."""

    def __init__(self):
        super().__init__()
        self.conv = layer.Conv2d(2, 4, 3, padding=1, groups=2)
        self.spike, self.flatten = neuron.IFNode(), layer.Flatten()
        self.head = layer.Linear(4 * 64, 3)
        functional.set_step_mode(self, "m")

    def forward(self, x):
        return self.head(self.flatten(self.spike(self.conv(x))))


def test_a_net_whose_channels_cannot_be_followed_stays_masked():
    pruner = trained(Grouped(), sparsity=0.9)
    before = {n: p.detach().clone() for n, p in pruner.model.named_parameters()}
    result = cut(pruner)
    assert result.notes[0].startswith("no channel was cut: no channel can be cut")
    assert "conv: expected plain or depthwise convolutions, got 'conv' with 2" in result.notes[0]
    assert result.before == result.after == {}
    assert result.plan["modules"] == {}
    assert result.difference == 0.0
    assert result.mask == pruner.mask
    assert all(torch.equal(p, before[n]) for n, p in result.model.named_parameters())


def fires_again(pruner, *numbers):
    """Give dead channels of convolutions a shift by which they fire: no longer the masked net."""
    for number in numbers:
        dead = ~pruner.granularity.live[f"body.conv{number}"]
        pruner.model.get_submodule(f"body.norm{number}").bias.data[dead] = 3.0


def test_channels_whose_cut_is_not_exact_stay_masked_with_a_note():
    pruner = trained(build("vgg-small"), sparsity=0.5, granularity="channel")
    fires_again(pruner, 2)
    with torch.no_grad():
        before = logits(pruner.model.eval(), images(3))
        result = cut(pruner, images(0))
        torch.testing.assert_close(
            logits(result.model.eval(), images(3)), before, atol=1e-5, rtol=1e-5
        )
    assert result.notes[-1].startswith("channels left whole: body.conv2; the cut net's logits")
    assert "cutting is not exact" in result.notes[-1]
    assert "body.conv2" not in result.after
    assert 0 < sum(result.after.values()) < sum(result.before.values())


def test_a_net_no_cut_of_which_is_exact_stays_masked_with_a_note():
    options = {"sparsity": 0.5, "granularity": "channel", "exclude": ("stem.*", "body.conv3")}
    pruner = trained(build("vgg-small"), **options)
    fires_again(pruner, 2)
    before = {n: v.clone() for n, v in pruner.model.state_dict().items()}
    result = cut(pruner, images(0))
    assert "cutting is not exact" in result.notes[-1]
    assert result.notes[-1].startswith("no channel was cut")
    assert (result.before, result.after, result.plan["modules"]) == ({}, {}, {})
    assert all(torch.equal(v, before[n]) for n, v in pruner.model.state_dict().items())
    assert pruner.model.training


def test_weights_that_the_mask_calls_dead_must_be_zero():
    pruner = trained(build("vgg-small"), sparsity=0.96)
    pruner.model.body.conv2.weight.data.fill_(1.0)
    with pytest.raises(ModelError, match="apply the mask"):
        cut(pruner)


def test_rounding_is_told_from_a_cut_that_is_not_exact(monkeypatch):
    options = {"sparsity": 0.5, "granularity": "channel", "channels": ChannelOptions(floor=2)}
    pruner = trained(build("vgg-small", head="flatten"), **options)
    single, doubles = cut_proof.difference, []

    def noisy(model, plan, run):
        difference, fine = single(model, plan, run)
        doubles.append(next(model.parameters()).dtype == torch.float64)
        return (difference, fine) if doubles[-1] else (0.5, False)

    monkeypatch.setattr(cut_proof, "difference", noisy)
    result = cut(pruner)
    assert doubles == [False, True]
    assert result.difference < 1e-12
    assert "in the model's own precision rounding moves potentials" in result.notes[0]
    assert result.notes[0].endswith("0.5")


def test_a_net_that_draws_its_spikes_is_compared_on_the_same_draws():
    model = nn.Sequential(
        encoding.PoissonEncoder(),
        layer.Conv2d(2, 8, 3, padding=1, bias=False),
        layer.BatchNorm2d(8),
        neuron.LIFNode(v_threshold=0.1),
        layer.Flatten(),
        layer.Linear(512, 3),
    )
    functional.set_step_mode(model, "m")
    result = cut(trained(model, granularity="channel", sparsity=0.5), images(9).sigmoid())
    assert (result.after, result.notes) == ({"1": 4}, ())


def test_the_proof_draws_from_no_generator_of_its_owner():
    pruner = trained(build("vgg-small"), sparsity=0.9)
    state = torch.get_rng_state()
    cut(pruner)
    assert torch.equal(torch.get_rng_state(), state)
