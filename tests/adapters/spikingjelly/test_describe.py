"""Constants of SpikingJelly's neurons, and the closed forms of its and other surrogates."""

import math

import pytest
import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import nn

from spikeprune.adapters.base import Refusal
from spikeprune.adapters.spikingjelly import describe as module
from spikeprune.adapters.spikingjelly.adapter import ADAPTER
from spikeprune.adapters.spikingjelly.describe import closed_slope, describe, low_pass
from spikeprune.errors import ConfigError
from spikeprune.neurons.surrogate_slopes import CLOSED_FORMS
from spikeprune.science.low_pass import filtered
from spikeprune.science.surrogate import closed_curve, model_curve
from spikeprune.zoo.neurons import TanhSurrogate

ATAN = surrogate.ATan(alpha=3.0)


@pytest.mark.parametrize(
    ("node", "leak", "divides", "decay_input"),
    [
        (neuron.IFNode(surrogate_function=ATAN), None, False, False),
        (neuron.LIFNode(4.0, surrogate_function=ATAN), 0.25, False, True),  # 1 / 4 is exact
        (neuron.LIFNode(3.0, False, surrogate_function=ATAN), 3.0, True, False),
        (neuron.ParametricLIFNode(4.0, surrogate_function=ATAN), 0.25, False, True),
    ],
)
def test_constants_of_a_neuron(node, leak, divides, decay_input):
    node.v_threshold, node.v_reset, node.detach_reset = 0.5, -0.25, True
    found = describe(node, type(node))
    assert (found.threshold, found.reset, found.detach_reset) == (0.5, -0.25, True)
    assert found.leak == pytest.approx(leak)
    assert (found.divides, found.decay_input) == (divides, decay_input)
    assert found.slope is CLOSED_FORMS["atan"](3.0)


@pytest.mark.parametrize(
    "node",
    [
        neuron.IFNode(1e9),
        neuron.LIFNode(3.0, v_threshold=1e9),
        neuron.LIFNode(4.0, False, v_threshold=1e9),
        neuron.ParametricLIFNode(1.5, v_threshold=1e9),
        neuron.ParametricLIFNode(2.5, False, v_threshold=1e9, v_reset=None),
    ],
)
def test_the_filter_is_the_potential_of_a_neuron_that_does_not_fire(node):
    x, potentials = torch.randn(5, 3), []
    for now in x:
        assert not node(now).any()
        potentials.append(node.v.detach())
    found = low_pass(node, type(node))
    torch.testing.assert_close(filtered(x, found), torch.stack(potentials))
    assert ADAPTER.low_pass(node) == found
    node.step_mode = "m"
    ADAPTER.fuse(node)
    assert ADAPTER.low_pass(node) == found


def test_the_filter_of_other_neurons_is_not_known():
    assert ADAPTER.low_pass(neuron.QIFNode()) is None
    assert low_pass(neuron.IFNode(), neuron.QIFNode) is None


def test_constants_are_those_of_the_neuron_now():
    node = neuron.ParametricLIFNode(2.0, v_reset=None)
    node.w.data.fill_(math.log(3))
    assert describe(node, type(node)).leak == pytest.approx(0.75)
    assert describe(node, type(node)).reset is None
    node.step_mode = "m"
    node.store_v_seq = True
    with pytest.raises(Refusal, match="stores its potentials"):
        describe(node, type(node))


CLOSED = [*(getattr(surrogate, name) for name in module._CLOSED), TanhSurrogate]


@pytest.mark.parametrize("kind", CLOSED)
def test_closed_derivatives_are_those_of_autograd(kind):
    made = kind()
    node = neuron.LIFNode(surrogate_function=made)
    x = torch.linspace(-2, 2, 401, dtype=torch.float64)
    before = x.clone()
    curve = closed_curve(ADAPTER.derivative(node))
    torch.testing.assert_close(curve(x), model_curve(made)(x), rtol=1e-6, atol=1e-9)
    assert torch.equal(x, before)
    assert float(curve(torch.zeros(1))) == pytest.approx(1)


@pytest.mark.parametrize(
    "made", [surrogate.QPseudoSpike(), surrogate.Sigmoid(spiking=False), lambda u: (u >= 0).to(u)]
)
def test_other_derivatives_are_left_to_autograd(made):
    assert ADAPTER.derivative(neuron.LIFNode(surrogate_function=made)) is None
    assert closed_slope(None) is None


class OwnSigmoid(surrogate.Sigmoid):
    """A user's surrogate, which names its closed form."""

    closed_form = ("sigmoid", "alpha")


class OwnStep(nn.Module):
    """A user's surrogate without SpikingJelly's base class."""

    closed_form = ("piecewise-exp", "steepness")
    steepness = 2.0

    def forward(self, u):
        return (u >= 0).to(u)


class Derived(OwnSigmoid):
    """May compute something else than its base."""


class Misspelt(surrogate.Sigmoid):
    closed_form = ("sigmoidal", "alpha")


class Nameless(surrogate.Sigmoid):
    closed_form = ("sigmoid", "beta")


def test_a_surrogate_may_name_its_closed_form():
    assert closed_slope(OwnSigmoid(alpha=2.5)) is CLOSED_FORMS["sigmoid"](2.5)
    assert closed_slope(OwnStep()) is CLOSED_FORMS["piecewise-exp"](2.0)
    assert closed_slope(TanhSurrogate(1.5)) is CLOSED_FORMS["tanh"](1.5)
    node = neuron.IFNode(surrogate_function=OwnSigmoid())
    assert describe(node, neuron.IFNode).slope.closed


def test_a_claim_is_not_inherited_and_must_be_sound():
    assert closed_slope(Derived()) is None
    assert closed_slope(OwnSigmoid(spiking=False)) is None
    assert closed_slope(OwnSigmoid(alpha=-1.0)) is None
    with pytest.raises(ConfigError, match="closed form 'sigmoidal'; expected one of: atan, erf"):
        closed_slope(Misspelt())
    with pytest.raises(Refusal, match=r"not finite numbers: .*'beta': None"):
        describe(neuron.IFNode(surrogate_function=Nameless()), neuron.IFNode)
