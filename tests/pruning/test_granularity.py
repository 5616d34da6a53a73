"""Weights and channels of one net: what lives, what it is a share of, what patterns choose."""

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from spikeprune.errors import BudgetError, ConfigError, ModelError
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.observing.potential_sums import ChannelStats
from spikeprune.pruning.channels.channel_masks import ChannelMasks
from spikeprune.pruning.criteria.inputs import Observations
from spikeprune.pruning.events.schedule import PlannedEvent
from spikeprune.pruning.options import ChannelOptions, PruneOptions
from spikeprune.pruning.weights.weight_masks import WeightMasks, parameter_of
from spikeprune.wiring.trace import trace

T = 2
EXAMPLE = torch.zeros(1, 2, 4, 4)


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


def made(kind, model=None, dense_synops=None, **options):
    torch.manual_seed(0)
    model = model or Block()
    granularity = "weight" if kind is WeightMasks else "channel"
    options = PruneOptions.of(**{"sparsity": 0.5, "granularity": granularity} | options)
    wiring = trace(model, EXAMPLE)
    return model, kind(model, EXAMPLE, wiring, options, T, dense_synops)


def event(granularity, stats=None, density=0.5, reads=None):
    gathered = Observations(stats or {}, {}, torch.Generator().manual_seed(0), reads=reads or {})
    return granularity.event(PlannedEvent(density, granularity._options), gathered)


def test_weights_start_whole_and_are_named_by_parameter():
    model, weights = made(WeightMasks, regrow="none")
    assert weights.density() == weights.macs_density() == 1.0
    mask = weights.parameter_mask()
    assert list(mask) == ["stem.weight", "inner.weight", "second.weight", "head.weight"]
    assert all(mask[n].shape == model.get_parameter(n).shape for n in mask)
    weights.check()
    weights.penalise()
    assert all(p.grad is None for p in model.parameters())


def test_weights_weigh_density_by_macs_of_the_whole_net():
    model, weights = made(WeightMasks, regrow="none", exclude=("head",))
    event(weights)
    total = {n: parameter_of(model, n).numel() for n in ("stem", "inner", "second")}
    live = {n: int(m.sum()) for n, m in weights.live.items()}
    assert weights.density() == sum(live.values()) / sum(total.values())
    macs = sum(16 * n for n in live.values()) + 3 * 64
    assert weights.macs_density() == pytest.approx(macs / (16 * sum(total.values()) + 3 * 64))


def test_groups_of_channels_and_their_masked_net():
    model, channels = made(ChannelMasks, regrow="none")
    assert {n: len(m) for n, m in channels.live.items()} == {"stem": 4, "inner": 6}
    assert channels.density() == channels.macs_density() == 1.0
    channels.live["inner"][2] = False
    mask = channels.parameter_mask()
    assert not mask["inner.weight"][2].any()
    assert not mask["norm2.weight"][2]
    assert not mask["norm2.bias"][2]
    weights = sum(p.numel() for n, p in model.named_parameters() if p.dim() > 1)
    assert channels.density() == pytest.approx(1 - (4 * 9 + 4 * 9) / weights)
    assert channels.macs_density() == pytest.approx(1 - 16 * 72 / (16 * (weights - 192) + 192))


def test_the_penalty_is_the_subgradient_of_the_scales_that_are_pruned():
    options = {"channels": ChannelOptions(l1=0.5), "regrow": "none", "exclude": ("inner",)}
    model, channels = made(ChannelMasks, **options)
    model.norm1.weight.data[:3] = torch.tensor([-2.0, 0.0, 3.0])
    for norm in (model.norm1, model.norm2):
        norm.weight.grad = torch.ones_like(norm.weight)
    channels.penalise()
    assert model.norm1.weight.grad[:3].tolist() == [0.5, 1.0, 1.5]
    assert torch.equal(model.norm2.weight.grad, torch.ones(6))
    assert model.norm3.weight.grad is None


def test_an_excluded_layer_spares_all_that_are_tied_to_it():
    _, channels = made(ChannelMasks, exclude=("second",))
    assert list(channels.live) == ["inner"]
    with pytest.raises(ConfigError, match=r"tied to all others.*exclude fewer"):
        made(ChannelMasks, include=("s*",), exclude=("stem",))


def test_a_part_of_tied_layers_cannot_be_included():
    with pytest.raises(ConfigError, match=r"stem, second are tied.*these too, or none.*: second"):
        made(ChannelMasks, include=("stem",))
    _, channels = made(ChannelMasks, include=("s*",))
    assert list(channels.live) == ["stem"]


def test_what_cannot_be_done_is_refused_in_advance():
    _, crowded = made(ChannelMasks, sparsity=0.9, regrow="none", channels=ChannelOptions(floor=3))
    with pytest.raises(BudgetError, match="floors alone exceed the budget"):
        crowded.check()
    _, limited = made(WeightMasks, sparsity=0.9, limits={"*": (0.5, 1.0)})
    with pytest.raises(BudgetError, match="widen the limits"):
        limited.check()


def test_channels_that_drive_no_neuron_have_no_criticality():
    _, channels = made(ChannelMasks, model=Block(tail=True))
    assert "tail" in channels.live
    with pytest.raises(ModelError, match="these drive none: 'tail'; exclude them"):
        channels.check()
    _, channels = made(ChannelMasks, model=Block(tail=True), regrow="random")
    channels.check()


def test_channel_regrowth_by_criticality_and_at_random():
    options = {"regrow_fraction": 0.4, "sparsity": 0.4}
    critical = CriticalityOptions(normalise="layer")
    model, channels = made(ChannelMasks, criticality=critical, **options)
    model.norm1.weight.data[:] = model.norm3.weight.data[:] = torch.tensor([4.0, 3, 1, 1])
    model.norm2.weight.data[:] = torch.tensor([5.0, 1, 1, 1, 1, 1])
    sizes = {"spike1": 4, "spike2": 6, "spike3": 4}
    stats = {
        n: ChannelStats(torch.arange(c, dtype=torch.float32), torch.rand(c), 1)
        for n, c in sizes.items()
    }
    outcome = event(channels, stats)
    assert outcome.regrown["stem"].nonzero().flatten().tolist() == [3]
    assert outcome.regrown["inner"].nonzero().flatten().tolist() == [5]
    assert outcome.details["budget"] == "channels"
    assert outcome.details["cost"] <= outcome.details["allowed"] < outcome.details["total"] == 14
    assert all(
        torch.equal(live, outcome.kept[n] | outcome.regrown[n]) for n, live in channels.live.items()
    )
    drawn = [event(made(ChannelMasks, regrow="random", **options)[1]) for _ in range(2)]
    assert sum(int(m.sum()) for m in drawn[0].regrown.values()) > 0
    assert all(torch.equal(drawn[0].regrown[n], drawn[1].regrown[n]) for n in drawn[0].regrown)


def test_saliency_at_random():
    _, channels = made(ChannelMasks, saliency="random", regrow="none")
    _, weights = made(WeightMasks, saliency="random", regrow="none")
    for granularity in (channels, weights):
        outcome = event(granularity)
        assert not any(m.any() for m in outcome.regrown.values())
    assert weights.density() == pytest.approx(0.5, abs=1e-3)


def test_a_budget_of_synops_follows_what_is_read():
    options = {"regrow": "none", "sparsity": 0.3, "channels": ChannelOptions(budget="synops")}
    model, channels = made(ChannelMasks, **options)
    convs = ("stem", "inner", "second")
    reads = {n: torch.rand(model.get_submodule(n).weight.shape[1:]).double() for n in convs}
    reads["head"] = torch.rand(64).double()
    outcome = event(channels, reads=reads)
    assert outcome.details["allowed"] == pytest.approx(0.7 * outcome.details["total"])
    outputs = {n: len(model.get_submodule(n).weight) for n in reads}
    ours = {n: float(r.sum()) * outputs[n] for n, r in reads.items()}
    assert outcome.details["total"] == pytest.approx(sum(ours.values()))
    assert outcome.details["cost"] <= outcome.details["allowed"]

    dense = {n: 10.0 * cost for n, cost in ours.items()}  # it fires ten times as much
    _, alike = made(ChannelMasks, model, dense_synops=dense, **options)
    again = event(alike, reads=reads)
    assert again.details["total"] == pytest.approx(10 * outcome.details["total"])
    assert again.details["cost"] == pytest.approx(10 * outcome.details["cost"])
    assert all(torch.equal(again.kept[n], outcome.kept[n]) for n in outcome.kept)


@pytest.mark.parametrize("kind", [WeightMasks, ChannelMasks])
def test_the_dense_net_of_a_budget_must_fit(kind):
    budget = {"channels": ChannelOptions(budget="synops")} if kind is ChannelMasks else {}
    budget = budget or {"budget": "synops"}
    names = ("stem", "inner", "second", "head")
    for dense in ({"stem": 1.0}, dict.fromkeys(names, 0.0)):
        _, granularity = made(kind, regrow="none", dense_synops=dense, **budget)
        with pytest.raises(ConfigError, match="expected dense_synops to give the SynOps"):
            granularity.check()
    _, other = made(kind, regrow="none", dense_synops=dict.fromkeys(names, 1.0))
    with pytest.raises(ConfigError, match="goes with a budget of synops"):
        other.check()
