"""The inputs of criteria: what is mapped to the weights of a layer, and which layers are scored."""

import pytest
import torch

from spikeprune.errors import ModelError
from spikeprune.observing.criticality_options import PAPER
from spikeprune.observing.potential_sums import ChannelStats
from spikeprune.pruning.criteria.inputs import (
    Criterion,
    Observations,
    ScoreInputs,
    weight_scores,
)
from spikeprune.pruning.criteria.of_weights import REGROWTH
from spikeprune.wiring.wiring import Layer, Wiring

RATES = {"a": torch.tensor([0.5, 0.0]), "b": torch.tensor([0.5, 0.25])}
SCORES = {"a": torch.tensor([0.2, 0.6]), "b": torch.tensor([1.0, 0.0])}
STATS = {n: ChannelStats(SCORES[n], RATES[n], samples=4) for n in RATES}


def linear(name, feeds, sources, inputs, outputs):
    return Layer(
        name,
        kind="linear",
        feeds=feeds,
        sources=sources,
        binary=bool(sources),
        input_shape=torch.Size([inputs]),
        output_shape=torch.Size([outputs]),
        norms=(),
        macs=inputs * outputs,
    )


WIRING = Wiring(
    {
        "stem": linear("stem", feeds=("a", "b"), sources=(), inputs=3, outputs=2),
        "head": linear("head", feeds=(), sources=("a", "b"), inputs=4, outputs=3),
    },
    {"a": 2, "b": 2},
)
WEIGHTS = {"stem": torch.ones(2, 3), "head": torch.ones(3, 4)}


def inputs(**seen):
    return ScoreInputs(
        Observations(torch.Generator(), **{"stats": STATS} | seen),
        wiring=WIRING,
        criticality=PAPER,
        time_steps=2,
    )


def test_an_input_that_sums_spikes_is_nonzero_when_either_source_fires():
    assert inputs().pre_rates("stem").tolist() == [1.0, 1.0, 1.0]  # the image
    # 1 - (1 - 0.5)(1 - 0.5) and 1 - (1 - 0)(1 - 0.25), each for two features of a channel.
    assert inputs().pre_rates("head").tolist() == [0.75, 0.75, 0.25, 0.25]


def test_a_layer_that_feeds_two_neurons_takes_their_mean():
    torch.testing.assert_close(inputs().post("stem", SCORES), torch.tensor([0.6, 0.3]))
    found = weight_scores(REGROWTH["criticality"], {"stem": WEIGHTS["stem"]}, inputs())
    torch.testing.assert_close(found["stem"].flatten(), torch.tensor([0.6, 0.3]))
    with pytest.raises(ModelError, match="'head', which feeds none"):
        inputs().post("head", SCORES)


def test_gradients_go_by_the_name_of_the_parameter():
    gradient = torch.arange(6.0).reshape(2, 3)
    assert inputs(gradients={"stem.weight": gradient}).gradient("stem") is gradient


@pytest.mark.parametrize(
    ("defined", "wanted", "scored"),
    [
        (True, True, ["stem", "head"]),
        (True, False, ["stem"]),
        (False, True, ["stem"]),
        (False, False, ["stem"]),
    ],
)
def test_a_layer_without_a_neuron_is_scored_where_both_sides_agree(defined, wanted, scored):
    seen = []
    criterion = Criterion(lambda name, weight, _: seen.append(name) or weight, everywhere=defined)
    found = weight_scores(criterion, WEIGHTS, inputs(), everywhere=wanted)
    assert list(found) == seen == scored
    assert all(found[name] is WEIGHTS[name] for name in scored)


def test_a_criterion_needs_nothing_unless_it_says_so():
    criterion = Criterion(lambda name, weight, _: weight)
    assert (criterion.needs, criterion.rounds, criterion.measure) == (frozenset(), 1, None)
    assert criterion.cost(100, 4) == 0
