"""The seam of hoisting: what is asked of adapters, and what a layer computes on."""

import pytest
import torch
from spikingjelly.activation_based import layer
from torch import nn

from spikeprune.adapters import base
from spikeprune.adapters.base import Hoisted, Hoisting
from spikeprune.adapters.speedups import computed, hoist, unhoist
from spikeprune.adapters.spikingjelly.adapter import ADAPTER


def test_the_adapter_and_its_layers_keep_the_protocols():
    assert isinstance(ADAPTER, Hoisting)
    module = layer.Linear(3, 2, step_mode="m")
    assert not isinstance(module, Hoisted)
    hoist(module)
    assert isinstance(module, Hoisted)


def test_what_a_layer_computes_on():
    module, x = layer.Linear(3, 2, step_mode="m"), torch.randn(4, 3)
    expanded, repeated = x.expand(5, 4, 3), x.repeat(5, 1, 1)
    assert computed(module, expanded) is expanded
    hoist(module)
    assert torch.equal(computed(module, expanded), x.unsqueeze(0))
    assert computed(module, repeated) is repeated
    assert computed(nn.Linear(3, 2), expanded) is expanded
    module.step_mode = "s"
    assert computed(module, expanded) is expanded


@pytest.mark.parametrize("function", [hoist, unhoist])
def test_a_framework_that_hoists_nothing_is_passed_over(function, monkeypatch):
    class Other:
        framework = "torch"

    monkeypatch.setattr(base, "_registered", {"torch": Other()})
    monkeypatch.setattr(base, "_BUILT_IN", {})
    assert function(layer.Linear(3, 2, step_mode="m")) == ()
