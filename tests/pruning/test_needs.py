"""What options need to be observed."""

import pytest

from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.pruning.needs import needs_of
from spikeprune.pruning.option_types import ChannelOptions
from spikeprune.pruning.options import PruneOptions


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({}, set()),
        ({"regrow": "criticality"}, {"potentials"}),
        ({"regrow": "gradient"}, {"gradient"}),
        ({"regrow": "random"}, set()),
        ({"regrow": "criticality-magnitude"}, {"potentials", "last-magnitude"}),
        ({"saliency": "firing-rate", "regrow": "gradient"}, {"potentials", "gradient"}),
        ({"saliency": "crisis"}, {"potentials", "moments", "last-magnitude"}),
        ({"budget": "synops"}, {"potentials", "operands"}),
        ({"saliency": "gate"}, set()),
        ({"saliency": "gate", "gate_cost": "operands"}, {"potentials", "operands"}),
        ({"gate_cost": "operands"}, set()),
        ({"granularity": "channel"}, set()),
        ({"granularity": "channel", "regrow": "criticality"}, {"potentials"}),
        ({"granularity": "channel", "saliency": "mean-potential"}, {"potentials", "moments"}),
        (
            {"granularity": "channel", "channels": ChannelOptions(budget="synops")},
            {"potentials", "operands"},
        ),
        ({"channels": ChannelOptions(budget="synops")}, set()),  # of weights, which have their own
    ],
)
def test_only_what_is_needed_is_observed(changes, needs):
    options = PruneOptions.of(sparsity=0.5, **changes)
    assert needs_of(options) == needs_of(options, start=True) == needs


@pytest.mark.parametrize(
    ("regrow", "needs"),
    [
        ("criticality", {"potentials", "gradient"}),
        ("criticality-shuffled", {"potentials", "gradient"}),
        ("criticality-magnitude", {"potentials", "last-magnitude"}),
        ("gradient", {"gradient"}),
        ("random", set()),
        ("none", set()),
    ],
)
def test_criticality_times_gradient_needs_the_gradient_where_it_is_used(regrow, needs):
    weighted = CriticalityOptions(weight="post*grad")
    assert needs_of(PruneOptions.of(sparsity=0.5, regrow=regrow, criticality=weighted)) == needs


def test_the_needs_of_the_start_count_where_they_are_asked_for():
    options = PruneOptions.of(sparsity=0.5, initial_density=0.6, start_saliency="crisis")
    assert needs_of(options) == set()
    assert needs_of(options, start=True) == {"potentials", "moments", "last-magnitude"}
