"""The options of `load`."""

import pytest

from spikeprune.data.options import Options
from spikeprune.errors import ConfigError

GOOD = {"batch_size": 4, "time_steps": 3, "seed": 0}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch_size": 1, "time_steps": 1, "limit": 1, "image_size": 1},
        {"validation": 0.0, "seed": -1},
        {"validation": 0.99, "augment": ("crop", "flip", "cutout"), "binning": "count"},
    ],
)
def test_options_in_range_are_kept(changes):
    options = Options(**{**GOOD, **changes})
    assert all(getattr(options, name) == value for name, value in changes.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be .* at least 1, got 0"),
        ({"time_steps": 0}, "time_steps must be .* at least 1, got 0"),
        ({"limit": -1}, "limit must be"),
        ({"time_steps": 10**12}, "time_steps: expected at most 10,000, got 1,000,000,000,000"),
        ({"image_size": 10**6}, "image_size: expected at most 16,384, got 1,000,000"),
        ({"image_size": 0}, "image_size must be"),
        ({"validation": 1.0}, "validation .* got 1.0"),
        ({"validation": -0.1}, "validation .* got -0.1"),
        ({"augment": "flip"}, "list of names"),
        ({"augment": ("rotate",)}, "unknown augmentation 'rotate'; expected one of: crop, cutout"),
        ({"binning": "random"}, "unknown binning of recordings 'random'"),
    ],
)
def test_options_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        Options(**{**GOOD, **changes})
