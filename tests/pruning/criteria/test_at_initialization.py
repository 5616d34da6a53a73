"""Saliencies at initialization against closed forms and derivatives taken in another way."""

import copy

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from tests.foreign import plain
from torch import nn

from spikeprune.adapters.speedups import fuse
from spikeprune.errors import ConfigError, ModelError
from spikeprune.execution.forward import forward
from spikeprune.pruning.criteria.at_initialization import (
    InitialNet,
    check_synflow,
    grasp,
    snip,
    synflow,
)
from spikeprune.training.losses import loss_by_name
from spikeprune.wiring.trace import trace

T = 3
LOSS = loss_by_name("mean-logits")


def net():
    torch.manual_seed(0)
    made = nn.Sequential(
        layer.Linear(6, 8, bias=False),
        layer.BatchNorm1d(8),
        neuron.LIFNode(surrogate_function=surrogate.ATan()),
        layer.Linear(8, 3),
    )
    functional.set_step_mode(made, "m")
    return made


def batches(count=2):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(5, 6, generator=generator), torch.randint(3, (5,), generator=generator))
        for _ in range(count)
    ]


def initial(model, data=None, loss=LOSS):
    return InitialNet(
        model,
        layers=("0", "3"),
        example=torch.zeros(1, 6),
        time_steps=T,
        batches=batches() if data is None else data,
        loss=loss,
    )


def mean_loss(model, data):
    values = [LOSS(forward(model, x, time_steps=T), y) for x, y in data]
    return sum(values) / len(values)


def test_snip_is_the_size_of_gradient_times_weight_of_the_mean_loss():
    model = net()
    scores = snip(initial(model))
    reference = copy.deepcopy(model).train()
    mean_loss(reference, batches()).backward()
    for name in ("0", "3"):
        weight = reference.get_submodule(name).weight
        torch.testing.assert_close(scores[name], (weight.grad * weight).abs().detach())
    assert all(not score.requires_grad for score in scores.values())


class Smooth(nn.Module):
    """A quadratic net: no spike matters to its output, so that its Hessian is known."""

    def __init__(self):
        super().__init__()
        self.linear = layer.Linear(2, 2, bias=False)
        self.neuron = neuron.IFNode(surrogate_function=surrogate.ATan())
        self.head = layer.Linear(2, 2, bias=False)

    def forward(self, x):
        return self.head(self.linear(x)) + 0 * self.neuron(self.linear(x))


def test_grasp_is_weight_times_hessian_times_gradient_worked_by_hand():
    # With logits z = A W x summed and squared: L = (1' A W 1)^2 / 2 = s^2 / 2, x = 1, T = 1.
    model = Smooth()
    functional.set_step_mode(model, "m")
    a, w = torch.tensor([[1.0, 2.0], [3.0, -1.0]]), torch.tensor([[0.5, -1.0], [2.0, 1.5]])
    model.head.weight.data, model.linear.weight.data = a.clone(), w.clone()

    def loss(logits, target):
        return logits.sum().square() / 2

    data = [(torch.ones(1, 2), torch.zeros(1, dtype=torch.long))]
    scores = grasp(
        InitialNet(
            model,
            layers=("linear", "head"),
            example=torch.zeros(1, 2),
            time_steps=1,
            batches=data,
            loss=loss,
        )
    )
    # s = u' v with u = A' 1 (per hidden unit) and v = W 1; ds/dA_ij = v_j, ds/dW_jk = u_j.
    u, v = a.sum(0), w.sum(1)
    s = u @ v
    # g = s ds; the gradient of |g|^2 / 2 = s^2 q / 2, q = 2 |v|^2 + 2 |u|^2, is H g.
    q = 2 * (v @ v) + 2 * (u @ u)
    head = s * v.expand(2, 2) * q + s**2 * 2 * u.expand(2, 2)
    linear = s * u[:, None].expand(2, 2) * q + s**2 * 2 * v[:, None].expand(2, 2)
    torch.testing.assert_close(scores["head"], a * head)
    torch.testing.assert_close(scores["linear"], w * linear)


def test_grasp_of_a_spiking_net_equals_forward_over_reverse_and_needs_no_unfused_net():
    model = net()
    data = batches(1)
    scores = grasp(initial(model, data))
    reference = copy.deepcopy(model).train()
    names = ["0", "3"]
    weights = [reference.get_submodule(n).weight for n in names]
    gradient = torch.autograd.grad(mean_loss(reference, data), weights, create_graph=True)
    # d/dw |g|^2 / 2 = H g, by one scalar instead of a detached copy.
    product = torch.autograd.grad(sum(g.square().sum() for g in gradient) / 2, weights)
    for name, weight, found in zip(names, weights, product, strict=True):
        torch.testing.assert_close(scores[name], (weight * found).detach())
    fused = net()
    assert fuse(fused).fused
    again = grasp(initial(fused, data))
    for name in names:
        torch.testing.assert_close(again[name], scores[name])
    assert fuse(fused).fused  # the net itself stays fused


def test_synflow_is_the_product_of_the_flows_on_both_sides():
    model = net()
    model[1].weight.data = torch.linspace(-1, 2, 8)
    model[1].running_var.data = torch.linspace(0.5, 4, 8)
    model[1].running_mean.data += 7
    model[1].bias.data += 5
    model[3].bias.data -= 3
    scores = synflow(initial(model, (), None))
    first, second = (model[i].weight.detach().double().abs() for i in (0, 3))
    gain = model[1].weight.detach().double().abs() / (model[1].running_var + 1e-5).double().sqrt()
    out = second.sum(0)
    torch.testing.assert_close(scores["0"], first * (gain * out)[:, None])
    torch.testing.assert_close(scores["3"], second * (gain * first.sum(1)))
    # What flows through a layer is the same for all layers.
    torch.testing.assert_close(scores["0"].sum(), scores["3"].sum())


@pytest.mark.parametrize("measure", [snip, grasp, synflow])
def test_the_net_stays_as_it_is(measure):
    model = net()
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    measure(initial(model))
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(p.grad is None for p in model.parameters())
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("measure", [snip, grasp])
def test_without_batches_or_loss_there_is_nothing_to_measure(measure):
    with pytest.raises(ConfigError, match=r"call pruner.begin\(batches, loss\)"):
        measure(initial(net(), []))
    with pytest.raises(ConfigError, match=r"call pruner.begin\(batches, loss\)"):
        measure(initial(net(), loss=None))


def test_a_weight_without_gradient_is_named():
    def blind(logits, target):
        return logits.detach().sum() + 0 * parameter

    model = net()
    parameter = torch.zeros((), requires_grad=True)
    with pytest.raises(ModelError, match=r"'0' got no gradient.*exclude the layer"):
        snip(initial(model, loss=blind))


class HardTanh(nn.Module):
    """A bounded activation, which no adapter knows to pass its input on."""

    def forward(self, x):
        return x.clamp(0, 1)


class Single(nn.Module):
    """Casts to single precision."""

    def forward(self, x):
        return x.float()


@pytest.mark.parametrize(
    ("between", "message"),
    [
        (plain.StateLIF(), "found by their spike function cannot"),
        (HardTanh(), "linear once its neurons pass their input on, which Sequential is not"),
        (Single(), "in double precision, on which Sequential fails"),
    ],
)
def test_synflow_refuses_what_is_not_linear(between, message):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), between, nn.Linear(8, 3))
    wiring = trace(model, torch.rand(1, 6), time_steps=T, layout="step")
    with pytest.raises(ModelError, match=message):
        check_synflow(InitialNet(model, ("0", "2"), torch.rand(1, 6), T), wiring)


def test_synflow_takes_a_net_whose_neurons_pass_on():
    model = net()
    check_synflow(initial(model), trace(model, torch.rand(1, 6), time_steps=T))


def test_batches_may_hold_more_than_input_and_target():
    model = net()
    longer = [(x, y, "name") for x, y in batches()]
    found, expected = snip(initial(model, longer)), snip(initial(model, batches()))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
