"""Nets of silly size are refused before they are built, and others are not touched."""

import tracemalloc

import pytest
import torch

from spikeprune import limits, zoo
from spikeprune.errors import ConfigError

TASK = {"classes": 10, "in_channels": 3, "image_size": 32, "time_steps": 4}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"classes": 10**12}, r"the net of [\d,]+ parameters .* would take [\d,.]+ GiB"),
        ({"in_channels": 10**12}, "one sample of 32x32 pixels and 1000000000000 channels"),
        ({"image_size": 10**12}, "one sample of 1000000000000x1000000000000 pixels"),
        ({"image_size": [32, 10**12]}, "one sample of 32x1000000000000 pixels"),
        ({"time_steps": 10**12}, "time_steps: expected at most 10,000, got 1,000,000,000,000"),
        ({"width": 1e5}, "parameters .* would take"),
        ({"width": 1e12}, "a tensor that no memory holds"),
        ({"hidden": [10**12]}, "parameters .* would take|a tensor that no memory holds"),
        ({"hidden": [1] * 10**5}, "entries of hidden: expected at most 1,000, got 100,000"),
    ],
)
def test_sizes_that_no_memory_holds_are_refused(given, message):
    zoo.build("vgg9", **TASK | {"width": 0.1})  # its imports do not count
    tracemalloc.start()
    with pytest.raises(ConfigError, match=message):
        zoo.build("vgg9", **TASK | given)
    assert tracemalloc.get_traced_memory()[1] < 8 * limits.MIB
    tracemalloc.stop()


def test_what_counts_is_parameters_and_the_largest_output_over_time(monkeypatch):
    made = {"width": 1 / 16, "hidden": ()}
    net = zoo.build("vgg9", **TASK | made)
    parameters = sum(p.numel() for p in net.parameters())
    needed = 4 * (parameters + 4 * 4 * 32 * 32)  # 64 / 16 channels of 32x32 over 4 steps
    monkeypatch.setattr(limits, "memory_bytes", lambda: needed)
    zoo.build("vgg9", **TASK | made)
    monkeypatch.setattr(limits, "memory_bytes", lambda: needed - 1)
    with pytest.raises(ConfigError, match=f"{parameters:,} parameters"):
        zoo.build("vgg9", **TASK | made)


def test_the_look_ahead_draws_no_random_numbers(monkeypatch):
    def weights():
        torch.manual_seed(3)
        return zoo.build("vgg-small", **TASK).state_dict()

    with_look = weights()
    monkeypatch.setattr("spikeprune.zoo.sizes.require_fitting", lambda *_: None)
    assert all(torch.equal(tensor, with_look[name]) for name, tensor in weights().items())
