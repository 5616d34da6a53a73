"""Squares or products of filtered inputs, as the needs of criteria say."""

import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from spikeprune.pruning.criteria.inputs import Observations
from spikeprune.pruning.events.layer_inputs import filtered_inputs, with_filtered
from spikeprune.wiring.trace import trace


def test_needs_say_what_is_measured():
    model = nn.Sequential(layer.Linear(4, 3), neuron.IFNode(), layer.Linear(3, 2)).eval()
    wiring = trace(model, torch.rand(1, 4), time_steps=1, layout="batch")
    how = {"time_steps": 1, "train": False}
    assert filtered_inputs({"potentials"}, model, wiring, ["0"], **how) is None
    seen = Observations(torch.Generator())
    assert with_filtered(seen, None) is seen
    for need in ("filtered-inputs", "filtered-products"):
        measured = filtered_inputs({need}, model, wiring, ["0"], **how)
        x = torch.rand(5, 4)
        with torch.no_grad(), measured:
            model(x)
        found = with_filtered(seen, measured)
        second = (x.T @ x / 5).double()
        if need == "filtered-inputs":
            torch.testing.assert_close(found.filtered["0"], second.diagonal())
            assert not found.products
        else:
            torch.testing.assert_close(found.products["0"][0], second)
            assert not found.filtered
