"""The penalty on SynOps: its value against an evaluation, its gradient against the fan-out."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn
from torch.nn.functional import conv2d

from spikeprune.adapters.speedups import hoist
from spikeprune.errors import ConfigError, ObservationError
from spikeprune.execution.forward import forward
from spikeprune.measuring.synops import counting
from spikeprune.measuring.synops_penalty import synops_penalty
from spikeprune.training.losses import loss_by_name
from spikeprune.wiring.trace import trace

T, B = 3, 4
LOSS = loss_by_name("mean-logits")


def nothing(logits, *rest):
    return logits.sum() * 0


def net(mode="m", pool=None, **second):
    torch.manual_seed(0)
    made = nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1), layer.BatchNorm2d(4), neuron.LIFNode(),
        pool or layer.MaxPool2d(2),
        layer.Conv2d(4, 6, 3, **{"padding": 1} | second), layer.BatchNorm2d(6), neuron.LIFNode(),
        layer.AdaptiveAvgPool2d(1), layer.Flatten(), layer.Linear(6, 3),
    )  # fmt: skip
    functional.set_step_mode(made, mode)
    with torch.no_grad():  # pruned, and firing
        for module in made:
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight *= torch.rand_like(module.weight) < 0.4
            if isinstance(module, nn.BatchNorm2d):
                module.bias += 0.8
    return made


def batch():
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(B, 1, 8, 8, generator=generator)
    return x * (x > 0.3), torch.tensor([0, 1, 2, 0])


def wired(model):
    return trace(model, batch()[0][:1], time_steps=T)


def counted(model, wiring, x):
    """The SynOps of a batch by layer, as `evaluate` counts them."""
    with torch.no_grad(), counting(model, wiring, train=True) as counts:
        forward(model, x, time_steps=T)
    return {name: float(count.synops()) for name, count in counts.layers.items()}


@pytest.mark.parametrize(
    "made",
    [
        {},
        {"second": {"stride": 2, "padding": 0}},
        {"second": {"groups": 2, "dilation": 2}},
        {"second": {"padding_mode": "circular"}},
        {"pool": layer.AvgPool2d(2)},
    ],
)
@pytest.mark.parametrize("hoisted", [False, True])
def test_its_value_is_the_share_that_an_evaluation_counts(made, hoisted):
    model, (x, y) = net(pool=made.get("pool"), **made.get("second", {})), batch()
    wiring = wired(model)
    if hoisted:
        hoist(model)
    found = counted(model, wiring, x)
    assert all(found.values())
    dense = dict.fromkeys(wiring.layers, 1000.0)
    with synops_penalty(model, nothing, 2.0, wiring=wiring, dense_synops=dense) as loss:
        value = loss(forward(model, x, time_steps=T), y).item()
    assert value == pytest.approx(2.0 * sum(found.values()) / B / 3000, rel=1e-6)


def test_it_is_the_weight_for_the_dense_net_itself():
    model, (x, y) = net(), batch()
    wiring = wired(model)
    dense = {name: synops / B for name, synops in counted(model, wiring, x).items()}
    with synops_penalty(model, LOSS, 0.4, wiring=wiring, dense_synops=dense) as loss:
        logits = forward(model, x, time_steps=T)
        torch.testing.assert_close(loss(logits, y), LOSS(logits, y) + 0.4)


def test_the_gradient_of_a_spike_is_its_live_fan_out():
    """That of the input of each layer is how many live weights read the position, borders too."""
    model, (x, y) = net(), batch()
    wiring = wired(model)
    dense = dict.fromkeys(wiring.layers, 10.0)
    inputs = {}
    for name in ("4", "9"):
        module = model.get_submodule(name)
        module.register_forward_pre_hook(
            lambda _, args, name=name: args[0].retain_grad() or inputs.update({name: args[0]})
        )
    with synops_penalty(model, nothing, 1.0, wiring=wiring, dense_synops=dense) as loss:
        loss(forward(model, x, time_steps=T), y).backward()
    spikes = torch.zeros(1, *inputs["4"].shape[2:], requires_grad=True)
    live = (model[4].weight != 0).float()
    conv2d(spikes, live, padding=1).sum().backward()
    share = 1 / (B * 10.0 * len(dense))
    # What the second layer's own spikes cost later comes on top, so the last layer is cut off.
    beyond = torch.zeros_like(inputs["9"]) + (model[9].weight != 0).float().sum(0)
    torch.testing.assert_close(inputs["9"].grad, share * beyond)
    model.zero_grad()
    few = {"4": wiring.layers["4"]}
    alone = type(wiring)(few, wiring.neurons)
    with synops_penalty(model, nothing, 1.0, wiring=alone, dense_synops=dense) as loss:
        loss(forward(model, x, time_steps=T), y).backward()
    expected = spikes.grad.expand_as(inputs["4"]) / (B * 10.0)
    torch.testing.assert_close(inputs["4"].grad, expected)
    assert len(expected.unique()) > 4  # borders and dead weights tell positions apart


def test_joined_spikes_have_the_gradient_of_their_size_and_the_image_has_none():
    model, (x, y) = net(pool=layer.AvgPool2d(2)), batch()
    wiring = wired(model)
    x.requires_grad_()
    first = type(wiring)({"0": wiring.layers["0"]}, wiring.neurons)
    dense = dict.fromkeys(wiring.layers, 10.0)
    with synops_penalty(model, nothing, 1.0, wiring=first, dense_synops=dense) as loss:
        loss(forward(model, x, time_steps=T), y).backward()
    assert not x.grad.any()
    second = type(wiring)({"4": wiring.layers["4"]}, wiring.neurons)
    held = []
    model[4].register_forward_pre_hook(lambda _, args: args[0].retain_grad() or held.append(args))
    with synops_penalty(model, nothing, 1.0, wiring=second, dense_synops=dense) as loss:
        loss(forward(model, x, time_steps=T), y).backward()
    (operand,) = held[0]
    silent = operand == 0
    assert 0 < silent.float().mean() < 1
    assert (operand.grad[silent] > 0).any()  # a neuron near threshold is held back, too


def test_a_net_that_steps_itself_counts_every_step():
    multi, single, (x, y) = net("m").eval(), net("s").eval(), batch()
    wiring = trace(single, x[:1], time_steps=T, layout="step")
    dense = dict.fromkeys(wiring.layers, 10.0)
    values = []
    for model, layout in ((multi, "sequence"), (single, "step")):
        model.training = True  # the net; its norms keep to their statistics
        with synops_penalty(model, nothing, 1.0, wiring=wiring, dense_synops=dense) as loss:
            values.append(loss(forward(model, x, time_steps=T, layout=layout), y))
    torch.testing.assert_close(*values)


def test_only_training_forwards_since_the_last_loss_count():
    model, (x, y) = net(), batch()
    wiring = wired(model)
    dense = dict.fromkeys(wiring.layers, 10.0)
    with synops_penalty(model, LOSS, 0.5, wiring=wiring, dense_synops=dense) as loss:
        model.eval()
        forward(model, x, time_steps=T)
        model.train()
        with torch.no_grad():
            forward(model, x, time_steps=T)
        with pytest.raises(ObservationError, match="forward in training mode before its loss"):
            loss(torch.zeros(T, B, 3), y)
        first = loss(forward(model, x, time_steps=T), y)
        assert torch.equal(first, loss(forward(model, x, time_steps=T), y))


def test_nothing_is_left_behind_and_zero_changes_nothing():
    model = net()
    wiring = wired(model)
    with synops_penalty(model, LOSS, 0.0, wiring=wiring, dense_synops={}) as loss:
        assert loss is LOSS

    def interrupted():
        dense = dict.fromkeys(wiring.layers, 1.0)
        with synops_penalty(model, LOSS, 1.0, wiring=wiring, dense_synops=dense):
            assert any(m._forward_hooks for m in model.modules())
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("dense", "words"),
    [({}, "got none of '0'"), ({"0": 1.0, "4": 1.0}, "none of '9'"),
     (dict.fromkeys("049", 0.0), "got 0 in sum")],
)  # fmt: skip
def test_unknown_synops_of_the_dense_net_are_refused(dense, words):
    model = net()
    with (
        pytest.raises(ConfigError, match=words),
        synops_penalty(model, LOSS, 1.0, wiring=wired(model), dense_synops=dense),
    ):
        pass


def test_training_under_the_penalty_takes_fewer_operations():
    spent = {}
    for weight in (0.0, 20.0):
        model, (x, y) = net(), batch()
        wiring = wired(model)
        dense = {name: synops / B for name, synops in counted(model, wiring, x).items()}
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
        with synops_penalty(model, LOSS, weight, wiring=wiring, dense_synops=dense) as loss:
            for _ in range(30):
                optimizer.zero_grad()
                loss(forward(model, x, time_steps=T), y).backward()
                optimizer.step()
        spent[weight] = sum(counted(model, wiring, x).values())
    assert spent[20.0] < 0.7 * spent[0.0]
