"""Values along a wiring that is given by hand: from neurons to layers, and their firing rates."""

import pytest
import torch

from spikeprune.errors import ModelError
from spikeprune.wiring.wiring import Layer, Wiring


def layer(feeds=(), sources=(), shapes=((3, 8, 8), (2, 8, 8))):
    inputs, outputs = map(torch.Size, shapes)
    return Layer(
        name="", kind="conv", feeds=feeds, sources=sources, binary=False,
        input_shape=inputs, output_shape=outputs, norms=(), macs=0,
    )  # fmt: skip


def test_a_layer_takes_the_mean_over_the_neurons_that_it_feeds():
    wiring = Wiring({"both": layer(("a", "c"))}, {"a": 2, "b": 2, "c": 2})
    values = {name: torch.tensor([float(i), 10.0 * i]) for i, name in enumerate("abc", 1)}
    assert wiring.spread("both", values).tolist() == [2.0, 20.0]


def test_a_channel_takes_the_mean_over_its_positions_behind_a_flatten():
    wiring = Wiring({"conv": layer(("flat",))}, {"flat": 8})
    assert wiring.spread("conv", {"flat": torch.arange(8.0)}).tolist() == [1.5, 5.5]


def test_a_layer_that_feeds_no_neuron_has_no_values():
    with pytest.raises(ModelError, match="got 'last', which feeds none"):
        Wiring({"last": layer(sources=("a",))}, {"a": 2}).spread("last", {"a": torch.ones(2)})


def test_rates_of_one_source_repeat_over_the_positions_of_a_flatten():
    wiring = Wiring({"linear": layer(sources=("a",), shapes=((6,), (5,)))}, {"a": 2})
    rates = {"a": torch.tensor([0.25, 0.5])}
    assert wiring.source_rates("linear", rates).tolist() == [0.25] * 3 + [0.5] * 3


def test_rates_of_several_sources_are_taken_as_independent():
    wiring = Wiring({"join": layer(sources=("a", "b"), shapes=((2, 4, 4), (3, 4, 4)))}, {})
    rates = {"a": torch.tensor([0.5, 1.0]), "b": torch.tensor([0.2, 0.3])}
    torch.testing.assert_close(wiring.source_rates("join", rates), torch.tensor([0.6, 1.0]))


def test_an_analog_input_is_never_zero():
    rates = Wiring({"first": layer(feeds=("a",))}, {"a": 2}).source_rates(
        "first", {"a": torch.zeros(2).double()}
    )
    assert torch.equal(rates, torch.ones(3).double())
