"""Tensors by channel, and masks from live channels, of groups that are given by hand."""

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import nn

from spikeprune.errors import BudgetError, ConfigError
from spikeprune.wiring.channel_masks import (
    channel_count,
    channel_masks,
    channel_tensors,
    checked_live,
    tensor_of,
    tensor_owner,
)
from spikeprune.wiring.tied_channels import ChannelGroup, Member


@pytest.fixture
def model():
    return nn.Sequential(
        nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), neuron.IFNode(), nn.Flatten(), nn.Linear(6, 2)
    )


def member(module, role, index, size):
    return Member(module, role, torch.tensor(index), size)


GROUP = ChannelGroup(
    "0",
    3,
    (
        member("0", "out", [[0], [1], [2]], 3),
        member("1", "norm", [[0], [1], [2]], 3),
        member("2", "state", [[0], [1], [2]], 3),
        member("4", "in", [[0, 1], [2, 3], [4, 5]], 6),
    ),
)


def test_dead_channels_lose_rows_biases_and_norms_but_no_columns(model):
    masks = channel_masks(model, (GROUP,), {"0": torch.tensor([True, False, True])})
    assert set(masks) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    assert masks["0.weight"].shape == (3, 2, 1, 1)
    for mask in masks.values():
        assert not mask[1].any()
        assert mask[[0, 2]].all()


def test_a_group_that_is_missing_is_live(model):
    assert channel_masks(model, (GROUP,), {}).density == 1.0
    assert checked_live((GROUP,), {})["0"].tolist() == [True] * 3


@pytest.mark.parametrize(
    ("live", "error", "message"),
    [
        (
            {"0": torch.zeros(3, dtype=torch.bool)},
            BudgetError,
            "live channel in '0', got none of 3",
        ),
        ({"9": torch.ones(3, dtype=torch.bool)}, ConfigError, "unknown channel group '9'"),
        ({"0": torch.ones(3)}, ConfigError, r"shape \(3,\) .* got torch.float32"),
        ({"0": torch.ones(2, dtype=torch.bool)}, ConfigError, r"of shape \(2,\)"),
    ],
)
def test_live_channels_are_checked(live, error, message):
    with pytest.raises(error, match=message):
        checked_live((GROUP,), live)


def test_tensors_and_counts_by_role(model):
    transposed = nn.ConvTranspose2d(2, 3, 1)
    aware = neuron.ActivationAwareIFNode(torch.ones(3), channel_dim=1)
    expected = [
        (model[0], "out", 3, [("weight", 0), ("bias", 0)]),
        (model[0], "in", 2, [("weight", 1)]),
        (transposed, "out", 3, [("weight", 1), ("bias", 0)]),
        (transposed, "in", 2, [("weight", 0)]),
        (model[4], "in", 6, [("weight", 1)]),
        (nn.Linear(6, 2, bias=False), "out", 2, [("weight", 0)]),
        (model[1], "norm", 3, [(n, 0) for n in ("weight", "bias", "running_mean", "running_var")]),
        (model[2], "state", None, []),
        (aware, "state", None, [("v_threshold", 0)]),
    ]
    for module, role, count, tensors in expected:
        assert channel_count(module, role) == count
        holder = nn.Sequential()
        holder.add_module("part", module)
        size = count or 3
        named = [(f"part.{name}", dim) for name, dim in tensors]
        assert list(channel_tensors(holder, "part", role, size)) == named
    assert channel_count(None, "out") is None
    assert list(channel_tensors(transposed, "", "out", 3)) == [("weight", 1), ("bias", 0)]


def test_a_tensor_outside_of_layers_is_found_by_the_length_of_its_axis():
    model = nn.Module()
    model.threshold = nn.Parameter(torch.ones(1, 5, 1))
    assert list(channel_tensors(model, "threshold", "tensor", 5)) == [("threshold", 1)]
    assert list(channel_tensors(model, "#1", "site", 5)) == []
    assert tensor_of(model, "threshold") is model.threshold


def test_the_owner_of_a_dotted_name(model):
    assert tensor_owner(model, "1.running_mean") == (model[1], "running_mean")
    assert tensor_owner(model[1], "bias") == (model[1], "bias")
