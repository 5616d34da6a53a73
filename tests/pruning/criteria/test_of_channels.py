"""Criteria of channels against hand-worked values, and a conformance test over the two tables."""

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
