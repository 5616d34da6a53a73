"""Masks of channel groups: the masked net, the L1 penalty, and the inputs of an event."""

import pytest
import torch

from spikeprune.errors import BudgetError, ConfigError, ModelError
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.observing.potential_sums import ChannelStats
from spikeprune.pruning.channels.channel_masks import ChannelMasks
from spikeprune.pruning.option_types import ChannelOptions

LAYERS = ("stem", "inner", "second", "head")


def test_groups_of_channels_and_their_masked_net(masked):
    model, channels = masked(ChannelMasks)
    assert {n: len(m) for n, m in channels.live.items()} == {"stem": 4, "inner": 6}
    assert [group.name for group in channels.groups] == ["stem", "inner"]
    assert channels.last_magnitude == {}
    channels.live["inner"][2] = False
    mask = channels.parameter_mask()
    assert not mask["inner.weight"][2].any()
    assert not mask["norm2.weight"][2]
    assert not mask["norm2.bias"][2]
    weights = sum(p.numel() for n, p in model.named_parameters() if p.dim() > 1)
    assert channels.density() == pytest.approx(1 - (4 * 9 + 4 * 9) / weights)
    assert sum(channels.live_macs().values()) == pytest.approx(16 * (weights - 192 - 72) + 192)


def test_the_penalty_is_the_subgradient_of_the_scales_that_are_pruned(masked):
    model, channels = masked(ChannelMasks, channels=ChannelOptions(l1=0.5), exclude=("inner",))
    model.norm1.weight.data[:3] = torch.tensor([-2.0, 0.0, 3.0])
    for norm in (model.norm1, model.norm2):
        norm.weight.grad = torch.ones_like(norm.weight)
    channels.penalise()
    assert model.norm1.weight.grad[:3].tolist() == [0.5, 1.0, 1.5]
    assert torch.equal(model.norm2.weight.grad, torch.ones(6))
    assert model.norm3.weight.grad is None


def test_an_excluded_layer_spares_all_that_are_tied_to_it(masked):
    _, channels = masked(ChannelMasks, exclude=("second",))
    assert list(channels.live) == ["inner"]
    with pytest.raises(ConfigError, match=r"no channel is left.*exclude fewer"):
        masked(ChannelMasks, include=("s*",), exclude=("stem",))


def test_a_part_of_tied_layers_cannot_be_included(masked):
    with pytest.raises(ConfigError, match=r"stem, second are tied.*these too, or none.*: second"):
        masked(ChannelMasks, include=("stem",))
    _, channels = masked(ChannelMasks, include=("s*",))
    assert list(channels.live) == ["stem"]


def test_what_cannot_be_done_is_refused_in_advance(masked):
    _, crowded = masked(ChannelMasks, sparsity=0.9, channels=ChannelOptions(floor=3))
    with pytest.raises(BudgetError, match="floors alone exceed the budget"):
        crowded.check()
    _, whole = masked(ChannelMasks, dense_synops=dict.fromkeys(LAYERS, 1.0))
    with pytest.raises(ConfigError, match="of synops or energy, got one of channels"):
        whole.check()


def test_channels_that_drive_no_neuron_have_no_criticality(masked):
    _, channels = masked(ChannelMasks, tail=True, regrow="criticality")
    assert list(channels.live) == ["stem", "inner"]
    assert channels.notes == (
        "channels left whole: tail; without the neuron that criticality needs",
        "the sparsity is a share of the channels of the layers that are pruned",
    )
    channels.check()
    _, alone = masked(ChannelMasks, tail=True, regrow="criticality", include=("tail",))
    with pytest.raises(ModelError, match="these drive none: 'tail'; exclude them"):
        alone.check()
    _, channels = masked(ChannelMasks, tail=True, regrow="random")
    assert "tail" in channels.live
    assert channels.notes == ()
    channels.check()


def test_regrowth_by_criticality_and_at_random(masked, run_event):
    options = {"regrow_fraction": 0.4, "sparsity": 0.4}
    critical = CriticalityOptions(normalise="layer")
    model, channels = masked(ChannelMasks, regrow="criticality", criticality=critical, **options)
    model.norm1.weight.data[:] = model.norm3.weight.data[:] = torch.tensor([4.0, 3, 1, 1])
    model.norm2.weight.data[:] = torch.tensor([5.0, 1, 1, 1, 1, 1])
    sizes = {"spike1": 4, "spike2": 6, "spike3": 4}
    stats = {
        n: ChannelStats(torch.arange(c, dtype=torch.float32), torch.rand(c), 1)
        for n, c in sizes.items()
    }
    selection = run_event(channels, stats=stats)
    assert selection.regrown["stem"].nonzero().flatten().tolist() == [3]
    assert selection.regrown["inner"].nonzero().flatten().tolist() == [5]
    use = selection.budget
    assert use.unit == "channels"
    assert use.cost <= use.allowed < use.total == 14
    assert all(torch.equal(live, channels.live[n]) for n, live in selection.live.items())
    unchanged = channels.unchanged(selection)  # regrown channels keep their trained values
    assert all(torch.equal(unchanged[n], m) for n, m in channels.parameter_mask().items())
    drawn = [run_event(masked(ChannelMasks, regrow="random", **options)[1]) for _ in range(2)]
    assert sum(int(m.sum()) for m in drawn[0].regrown.values()) > 0
    assert all(torch.equal(drawn[0].regrown[n], drawn[1].regrown[n]) for n in drawn[0].regrown)


def test_a_budget_of_synops_follows_the_operands(masked, run_event):
    options = {"sparsity": 0.3, "channels": ChannelOptions(budget="synops")}
    model, channels = masked(ChannelMasks, **options)
    operands = {n: torch.rand(model.get_submodule(n).weight.shape[1:]).double() for n in LAYERS}
    selection = run_event(channels, operands=operands)
    use = selection.budget
    costs = {n: float(o.sum()) * len(model.get_submodule(n).weight) for n, o in operands.items()}
    assert use.total == pytest.approx(sum(costs.values()))
    assert use.cost <= use.allowed == pytest.approx(0.7 * use.total)

    dense = {n: 10.0 * cost for n, cost in costs.items()}  # it fires ten times as much
    _, relative = masked(ChannelMasks, model, dense_synops=dense, **options)
    relative.check()
    again = run_event(relative, operands=operands)
    assert again.budget.total == pytest.approx(10 * use.total)
    assert again.budget.cost == pytest.approx(10 * use.cost)
    assert all(torch.equal(again.kept[n], selection.kept[n]) for n in selection.kept)
