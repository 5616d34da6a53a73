"""The dense net that a budget of operations refers to."""

import pytest

from spikeprune.errors import ConfigError
from spikeprune.pruning.budget import check_reference
from spikeprune.pruning.options import PruneOptions


def options(budget, **more):
    return PruneOptions.of(sparsity=0.5, budget=budget, **more)


def test_a_reference_that_names_every_layer_passes():
    check_reference(None, ["a"], options("weights"))
    for units in (options("synops"), options("energy"), options("weights", within={"synops": 0.5})):
        check_reference({"a": 1.0, "b": 0.0, "other": 2.0}, ["a", "b"], units)


@pytest.mark.parametrize(
    ("dense", "budget", "message"),
    [
        ({"a": 1.0}, "synops", r"every layer, some above 0, got nothing for b, c; take them from"),
        ({"a": 0.0, "b": 0.0, "c": 0.0}, "synops", r"got \{'a': 0.0, .*spikeprune.evaluate"),
        ({"a": 1.0, "b": 1.0, "c": 1.0}, "weights", "of synops or energy, got one of weights"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(dense, budget, message):
    with pytest.raises(ConfigError, match=message):
        check_reference(dense, ["a", "b", "c"], options(budget))
