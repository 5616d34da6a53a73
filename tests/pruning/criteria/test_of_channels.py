"""Criteria of channels against hand-worked values, and a conformance test over the two tables."""

import copy

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from spikeprune.errors import ModelError
from spikeprune.observing.potential_sums import ChannelStats, Moments
from spikeprune.pruning.criteria.inputs import Observations
from spikeprune.pruning.criteria.of_channels import (
    CHANNEL_REGROWTH,
    CHANNEL_SALIENCY,
    ChannelScoreInputs,
    channel_scores,
    check_channel_score,
)
from spikeprune.wiring.tied_channels import channel_groups
from spikeprune.wiring.trace import trace

EXAMPLE = torch.zeros(1, 2, 2, 2)
ROWS = [("saliency", n) for n in CHANNEL_SALIENCY] + [("regrowth", n) for n in CHANNEL_REGROWTH]
TABLES = {"saliency": CHANNEL_SALIENCY, "regrowth": CHANNEL_REGROWTH}


def net(*, norm=True):
    torch.manual_seed(0)
    return nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1),
        layer.BatchNorm2d(4) if norm else nn.Identity(),
        neuron.IFNode(),
        layer.Flatten(),
        layer.Linear(16, 3),
    )


SIZE = torch.tensor([0.4, 0.1, 0.9, 0.2])
RATE = torch.tensor([0.0, 0.3, 0.2, 0.5])
SCORE = torch.tensor([0.2, 0.8, 0.6, 0.4])
STATS = {"2": ChannelStats(SCORE, RATE, 8, Moments(SIZE - 1, SIZE, SIZE))}
GRADIENTS = {"1.weight": torch.tensor([0.5, -2.0, 0.0, 1.0])}


def scored(table, kind, model=None, normalise="none"):
    model = model or net()
    groups = channel_groups(model, EXAMPLE, trace(model, EXAMPLE))
    seen = Observations(torch.Generator().manual_seed(0), stats=STATS, gradients=GRADIENTS)
    inputs = ChannelScoreInputs(seen, model=model, reducer="mean", normalise=normalise)
    return channel_scores(groups, kind, TABLES[table][kind], inputs)


def test_each_criterion_reads_what_its_name_says():
    model = net()
    model[1].weight.data = torch.tensor([-3.0, 1.0, 0.5, 2.0])
    for name in ("magnitude", "batchnorm-scale"):
        assert scored("saliency", name, model)["0"].tolist() == [3.0, 1.0, 0.5, 2.0]
    assert torch.equal(scored("saliency", "mean-potential")["0"], SIZE)
    assert torch.equal(scored("saliency", "firing-rate")["0"], RATE)
    assert torch.equal(scored("regrowth", "criticality")["0"], SCORE)
    assert scored("regrowth", "scale-gradient")["0"].tolist() == [0.5, 2.0, 0.0, 1.0]
    ranked = scored("regrowth", "criticality", normalise="layer")["0"]
    assert ranked.tolist() == [0.25, 1.0, 0.75, 0.5]


@pytest.mark.parametrize(("table", "name"), ROWS)
def test_every_criterion_conforms(table, name):
    found, again = scored(table, name), scored(table, name)
    assert found.keys() == {"0"}
    assert found["0"].shape == (4,)
    assert bool((found["0"] >= 0).all())
    assert not found["0"].requires_grad
    assert torch.equal(found["0"], again["0"])


@pytest.mark.parametrize(("table", "name"), ROWS)
def test_a_group_that_cannot_be_read_is_named(table, name):
    model = net(norm=False)
    groups = channel_groups(model, EXAMPLE, trace(model, EXAMPLE))
    row = TABLES[table][name]
    if row.on == "norm":
        with pytest.raises(ModelError, match=r"'0' has no BatchNorm; add one, or exclude"):
            check_channel_score(groups, name, row)
    else:
        check_channel_score(groups, name, row)


# -- tied channels: `first` has three norms and three neurons, one of each behind a flatten --------


def scored_on(net, criterion, *, reducer="mean", stats=None, normalise="none", model=None):
    seen = Observations(torch.Generator().manual_seed(3), stats=stats or {})
    inputs = ChannelScoreInputs(
        seen, model=model or net.model, reducer=reducer, normalise=normalise
    )
    return channel_scores(net.groups, "the score", criterion, inputs)


def test_the_scale_of_tied_channels_is_that_of_all_their_norms_reduced(traced):
    net = traced("residual")
    model = copy.deepcopy(net.model)
    for index, norm in enumerate((model.norm1, model.norm2, model.norm3, model.norm4)):
        norm.weight.data = torch.linspace(-1, 2, norm.num_features).roll(index)
    folded = model.norm4.weight.detach().abs().reshape(6, 4)
    tied = [model.norm1.weight.detach().abs(), model.norm3.weight.detach().abs()]
    scale = CHANNEL_SALIENCY["batchnorm-scale"]
    means = scored_on(net, scale, model=model)
    expected = torch.stack([*tied, folded.mean(1)]).mean(0)
    torch.testing.assert_close(means["first"], expected)
    assert torch.equal(means["inner"], model.norm2.weight.detach().abs())
    highs = scored_on(net, scale, model=model, reducer="max")
    assert torch.equal(highs["first"], torch.stack([*tied, folded.amax(1)]).amax(0))
    drawn = scored_on(net, CHANNEL_SALIENCY["random"])
    assert drawn["first"].unique().numel() == 6


def test_the_criticality_of_tied_channels_is_reduced_and_ranked_in_the_group(traced):
    net = traced("residual")
    stats = {
        n: ChannelStats(torch.arange(c, dtype=torch.float32).roll(2), torch.ones(c), 1)
        for n, c in net.wiring.neurons.items()
    }
    folded = stats["spike4"].score.reshape(6, 4)
    critical = CHANNEL_REGROWTH["criticality"]
    means = scored_on(net, critical, stats=stats)
    expected = torch.stack([stats["spike1"].score, stats["spike3"].score, folded.mean(1)]).mean(0)
    torch.testing.assert_close(means["first"], expected)
    highest = scored_on(net, critical, stats=stats, reducer="max")["first"]
    assert torch.equal(highest, torch.maximum(stats["spike1"].score, folded.amax(1)))
    by_rank = scored_on(net, critical, stats=stats, normalise="layer")
    torch.testing.assert_close(by_rank["inner"], torch.tensor([0.8, 1.0, 0.2, 0.4, 0.6]))


def test_no_score_is_read_from_a_group_that_lacks_its_module():
    model = net(norm=False)
    with pytest.raises(ModelError, match="'0' has no BatchNorm; add one, or exclude"):
        scored("saliency", "batchnorm-scale", model)
