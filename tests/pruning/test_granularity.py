"""What both granularities promise the pruner."""

import pytest
import torch

from spikeprune.pruning.channels.channel_masks import ChannelMasks
from spikeprune.pruning.granularity import Granularity
from spikeprune.pruning.weights.weight_masks import WeightMasks

KINDS = pytest.mark.parametrize("kind", [WeightMasks, ChannelMasks])


@KINDS
def test_nothing_is_pruned_before_the_first_event(masked, kind):
    model, masks = masked(kind)
    masks.check()
    assert masks.density() == 1.0
    assert all(mask.all() for mask in masks.live.values())
    mask = masks.parameter_mask()
    named = dict(model.named_parameters())
    assert all(m.shape == named[name].shape and m.all() for name, m in mask.items())
    masks.penalise()
    assert all(parameter.grad is None for parameter in model.parameters())


@KINDS
def test_an_event_updates_the_live_set_and_all_that_is_made_of_it(masked, run_event, kind):
    _, masks = masked(kind, regrow="random", regrow_fraction=0.4)
    before = masks.live_macs()
    selection = run_event(masks)
    assert masks.live.keys() == selection.live.keys()
    assert all(torch.equal(mask, selection.live[name]) for name, mask in masks.live.items())
    assert not any((selection.kept[n] & selection.regrown[n]).any() for n in masks.live)
    assert any(regrown.any() for regrown in selection.regrown.values())
    assert 0 < masks.density() < 1
    macs = masks.live_macs()
    assert macs != before
    assert all(0 <= macs[layer] <= count for layer, count in before.items())
    mask, unchanged = masks.parameter_mask(), masks.unchanged(selection)
    assert unchanged.keys() == mask.keys()
    assert not any((unchanged[name] & ~mask[name]).any() for name in mask)


@KINDS
def test_both_have_every_member_of_the_protocol(masked, kind):
    _, masks = masked(kind)
    names = {name for name in vars(Granularity) if not name.startswith("_")}
    names |= Granularity.__annotations__.keys()
    assert {"live", "last_magnitude", "groups", "event", "unchanged"} <= names
    assert all(hasattr(masks, name) for name in names)
