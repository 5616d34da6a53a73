"""Which optional protocols SpikingJelly's adapter keeps."""

import pytest
from spikingjelly.activation_based import layer, neuron

from spikeprune.adapters.base import (
    ClosedForms,
    Fusing,
    Hoisted,
    Hoisting,
    Inferring,
    SelfObserving,
)
from spikeprune.adapters.speedups import fuse, hoist
from spikeprune.adapters.spikingjelly.adapter import ADAPTER


@pytest.mark.parametrize("protocol", [ClosedForms, Fusing, Hoisting, Inferring])
def test_the_adapter_keeps_every_optional_protocol(protocol):
    assert isinstance(ADAPTER, protocol)
    assert not isinstance(object(), protocol)


def test_a_layer_keeps_its_protocol_once_it_is_hoisted():
    module = layer.Linear(3, 2, step_mode="m")
    assert not isinstance(module, Hoisted)
    hoist(module)
    assert isinstance(module, Hoisted)


def test_a_neuron_observes_itself_once_it_is_fused():
    module = neuron.IFNode(step_mode="m")
    assert not isinstance(module, SelfObserving)
    fuse(module)
    assert isinstance(module, SelfObserving)
