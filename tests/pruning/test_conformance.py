"""The check of criteria: every built-in one passes, and every rule that is broken is named."""

import pytest
import torch

from spikeprune.errors import ConfigError
from spikeprune.pruning.conformance import check_criterion
from spikeprune.pruning.criteria.inputs import Criterion
from spikeprune.pruning.criteria.of_channels import CHANNEL_SALIENCY, ChannelCriterion
from spikeprune.pruning.criteria.of_weights import SALIENCY
from spikeprune.pruning.options import CRITERIA

ROWS = [
    (granularity, kind, name)
    for granularity, tables in CRITERIA.items()
    for kind, table in zip(("saliency", "regrowth"), tables, strict=True)
    for name in table
]


@pytest.mark.parametrize(("granularity", "kind", "name"), ROWS)
def test_every_criterion_of_ours_conforms(granularity, kind, name):
    table = CRITERIA[granularity][kind == "regrowth"]
    before = dict(table)
    check_criterion(name, kind=kind, granularity=granularity)
    assert table == before  # the check leaves no wrapper behind


def adds_to_the_weight(name, weight, inputs):
    weight.add_(1.0)
    return weight.abs()


BROKEN = {
    "no tensor": (lambda name, weight, inputs: 1.0, "gave no floating tensor for 'stem.conv'"),
    "whole numbers": (lambda name, weight, inputs: (weight > 0).long(), "no floating tensor"),
    "shape": (
        lambda name, weight, inputs: torch.ones(7),
        r"shape \(7,\) for 'stem.conv', expected one that broadcasts to \(4, 2, 3, 3\)",
    ),
    "more axes": (lambda name, weight, inputs: weight[None].abs(), r"shape \(1, 4, 2, 3, 3\)"),
    "not finite": (lambda name, weight, inputs: weight / 0, "that are not finite numbers"),
    "graph": (
        lambda name, weight, inputs: weight * torch.ones((), requires_grad=True).exp(),
        "with a graph; detach it",
    ),
    "weights": (adds_to_the_weight, "changed the weights of 'stem.conv'; scores must not"),
    "randomness": (
        lambda name, weight, inputs: torch.rand_like(weight),
        r"other masks in a second run with the same seed.*the inputs' generator",
    ),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_criterion_that_breaks_a_rule_is_refused(monkeypatch, rule):
    score, message = BROKEN[rule]
    row = Criterion(torch.enable_grad()(score))
    monkeypatch.setitem(SALIENCY, "mine", row)
    with pytest.raises(ConfigError, match=message):
        check_criterion("mine")
    assert SALIENCY["mine"] is row


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda group, inputs: torch.ones(1, 2, 3), r"broadcasts to \(4,\)"),
        (lambda group, inputs: torch.full((group.channels,), torch.nan), "not finite numbers"),
        (lambda group, inputs: torch.rand(group.channels), "the inputs' generator"),
    ],
)
def test_scores_of_channels_are_checked_too(monkeypatch, score, message):
    monkeypatch.setitem(CHANNEL_SALIENCY, "mine", ChannelCriterion(score))
    with pytest.raises(ConfigError, match=message):
        check_criterion("mine", granularity="channel")


def test_a_criterion_of_one_s_own_conforms(monkeypatch):
    row = Criterion(
        lambda name, weight, inputs: weight.abs() * inputs.pre_rates(name).mean(), {"potentials"}
    )
    monkeypatch.setitem(SALIENCY, "mine", row)
    check_criterion("mine")


def test_an_unknown_name_lists_those_of_the_table():
    with pytest.raises(ConfigError, match=r"unknown saliency of weights 'mine'.*magnitude"):
        check_criterion("mine")
    with pytest.raises(ConfigError, match=r"unknown regrowth of channels 'mine'.*scale-gradient"):
        check_criterion("mine", kind="regrowth", granularity="channel")
