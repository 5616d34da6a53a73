"""The dense net that a budget of SynOps refers to."""

import pytest

from spikeprune.errors import ConfigError
from spikeprune.pruning.budget import check_reference


def test_a_reference_that_names_every_layer_passes():
    check_reference(None, ["a"], budget="weights")
    check_reference({"a": 1.0, "b": 0.0, "other": 2.0}, ["a", "b"], budget="synops")


@pytest.mark.parametrize(
    ("dense", "budget", "message"),
    [
        ({"a": 1.0}, "synops", r"every layer, some above 0, got nothing for b, c; take them from"),
        ({"a": 0.0, "b": 0.0, "c": 0.0}, "synops", r"got \{'a': 0.0, .*spikeprune.evaluate"),
        ({"a": 1.0, "b": 1.0, "c": 1.0}, "macs", "goes with a budget of synops, got one of macs"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(dense, budget, message):
    with pytest.raises(ConfigError, match=message):
        check_reference(dense, ["a", "b", "c"], budget=budget)
