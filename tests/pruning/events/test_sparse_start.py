"""The event before the first step: its rounds, what each observes, and what that costs."""

import copy
from itertools import pairwise

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from spikeprune.errors import ConfigError
from spikeprune.execution.forward import forward
from spikeprune.observing.observer import Observer
from spikeprune.pruning.criteria.at_initialization import InitialNet, snip
from spikeprune.pruning.criteria.inputs import Criterion
from spikeprune.pruning.criteria.of_weights import SALIENCY
from spikeprune.pruning.events.schedule import PlannedEvent
from spikeprune.pruning.events.sparse_start import cost_at_start, rounds_at_start
from spikeprune.pruning.options import PruneOptions
from spikeprune.training.losses import loss_by_name
from spikeprune.wiring.trace import trace

T = 3
DENSITY = 0.2
EXAMPLE = torch.zeros(1, 6)


def initial(batches=2):
    torch.manual_seed(0)
    model = nn.Sequential(
        layer.Linear(6, 8, bias=False),
        layer.BatchNorm1d(8),
        neuron.LIFNode(surrogate_function=surrogate.ATan()),
        layer.Linear(8, 3),
    )
    functional.set_step_mode(model, "m")
    data = [(torch.randn(5, 6), torch.arange(5) % 3) for _ in range(batches)]
    return InitialNet(
        model,
        layers=("0", "3"),
        example=EXAMPLE,
        time_steps=T,
        batches=data,
        loss=loss_by_name("mean-logits"),
    )


def options(saliency, **changes):
    return PruneOptions.of(
        **{"sparsity": 1 - DENSITY, "saliency": saliency, "schedule": "at-start"} | changes
    )


def rounds(net, saliency, **changes):
    planned = PlannedEvent(DENSITY, options(saliency, **changes))
    wiring = trace(net.model, EXAMPLE)
    return list(rounds_at_start(net, planned, wiring, torch.Generator()))


@pytest.mark.parametrize("saliency", ["magnitude", "random"])
def test_a_saliency_that_needs_nothing_has_one_round_without_observations(saliency):
    ((planned, seen),) = rounds(initial(batches=0), saliency)
    assert planned.density == DENSITY
    assert planned.options.saliency == saliency
    assert (seen.stats, seen.gradients, seen.operands, seen.measured) == ({}, {}, {}, {})


def test_a_saliency_of_the_loss_is_measured_once():
    net = initial()
    ((planned, seen),) = rounds(net, "snip")
    assert planned.density == pytest.approx(DENSITY)
    expected = snip(net)
    assert seen.measured.keys() == {"0", "3"}
    assert all(torch.equal(score, expected[name]) for name, score in seen.measured.items())


def test_synflow_is_measured_in_a_hundred_rounds_of_falling_density():
    net = initial(batches=0)
    planned = PlannedEvent(DENSITY, options("synflow"))
    densities, flows = [], []
    wiring = trace(net.model, EXAMPLE)
    for part, seen in rounds_at_start(net, planned, wiring, torch.Generator()):
        densities.append(part.density)
        flows.append(float(seen.measured["0"].sum()))
        with torch.no_grad():
            net.model[0].weight.mul_(0.9)  # each round measures what the last one left
    assert len(densities) == 100
    assert densities[-1] == pytest.approx(DENSITY)
    assert all(b / a == pytest.approx(DENSITY**0.01) for a, b in pairwise(densities))
    assert all(b / a == pytest.approx(0.9, rel=1e-5) for a, b in pairwise(flows))


def test_potentials_are_observed_in_training_mode_on_a_copy():
    net = initial()
    before = copy.deepcopy(net.model.state_dict())
    ((_, seen),) = rounds(net, "crisis")
    assert all(torch.equal(t, before[name]) for name, t in net.model.state_dict().items())
    model = copy.deepcopy(net.model).train()
    with Observer(model, time_steps=T, train=True, moments=True) as observer, torch.no_grad():
        for x, _ in net.batches:
            forward(model, x, time_steps=T)
    expected = observer.compute()["2"]
    assert seen.stats["2"].samples == 10
    assert torch.equal(seen.stats["2"].rate, expected.rate)
    assert torch.equal(seen.stats["2"].potential.variance, expected.potential.variance)
    assert seen.operands == {}


def test_a_budget_of_synops_counts_operands():
    net = initial()
    ((_, seen),) = rounds(net, "magnitude", budget="synops")
    assert seen.operands["0"].tolist() == [T] * 6  # analog inputs: not zero at any step
    fired = seen.stats["2"].rate * T
    torch.testing.assert_close(seen.operands["3"].float(), fired)


def test_what_is_missing_is_asked_for():
    with pytest.raises(ConfigError, match=r"needs potentials or firing rates.*pruner.begin\("):
        rounds(initial(batches=0), "firing-rate")
    with pytest.raises(ConfigError, match=r"needs the loss of training batches.*pruner.begin\("):
        rounds(initial(batches=0), "grasp")


def test_a_criterion_that_needs_a_gradient_cannot_start(monkeypatch):
    criterion = Criterion(lambda name, weight, inputs: inputs.gradient(name), {"gradient"})
    monkeypatch.setitem(SALIENCY, "mine", criterion)
    with pytest.raises(ConfigError, match=r"'mine' needs the gradient.*another start_saliency"):
        rounds(initial(), "mine")


@pytest.mark.parametrize(
    ("saliency", "cost"),
    [
        ("random", 0),
        ("firing-rate", 10 / 3),  # a forward is a third of a training step
        ("snip", 10),
        ("grasp", 10 * 10 / 3),
        ("synflow", 100 / T),
    ],
)
def test_the_cost_is_in_training_steps_of_one_sample(saliency, cost):
    assert cost_at_start(initial(), options(saliency)) == pytest.approx(cost)
