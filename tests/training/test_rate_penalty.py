"""The penalty on firing: its value, its gradient, and nothing left behind."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from spikeprune.errors import ObservationError
from spikeprune.execution.forward import forward
from spikeprune.training.losses import loss_by_name
from spikeprune.training.rate_penalty import rate_penalty

T = 3
LOSS = loss_by_name("mean-logits")


def net(mode="m"):
    torch.manual_seed(0)
    made = nn.Sequential(
        layer.Linear(6, 9), layer.BatchNorm1d(9), neuron.LIFNode(),
        layer.Linear(9, 5), layer.BatchNorm1d(5), neuron.LIFNode(),
        layer.Linear(5, 3),
    )  # fmt: skip
    functional.set_step_mode(made, mode)
    return made


def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 6, generator=generator), torch.tensor([0, 1, 2, 0])


def spikes_of(model, x):
    """All spikes of a forward, by running the layers one after the other."""
    functional.reset_net(model)
    y, found = x.expand(T, *x.shape), []
    for module in model:
        y = module(y)
        if isinstance(module, neuron.LIFNode):
            found.append(y)
    return y, torch.cat([s.flatten() for s in found])


def test_value_and_gradient_are_those_of_the_mean_of_all_spikes():
    model, (x, y) = net(), batch()
    logits, spikes = spikes_of(model, x)
    expected = LOSS(logits, y) + 0.7 * spikes.mean()
    expected.backward()
    wanted = {n: p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad()
    with rate_penalty(model, LOSS, 0.7) as loss:
        value = loss(forward(model, x, time_steps=T), y)
        value.backward()
    torch.testing.assert_close(value, expected)
    assert 0 < spikes.mean() < 1
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name])


def test_a_net_that_steps_itself_counts_every_step():
    model, (x, y) = net("s"), batch()
    model.eval()  # norms by their statistics: a step alone has other batch statistics
    for module in model:
        if isinstance(module, neuron.LIFNode):
            module.train()
    multi = net()
    multi.eval()
    _, spikes = spikes_of(multi, x)
    with rate_penalty(model, lambda logits, y: logits.sum() * 0, 1.0) as loss:
        value = loss(forward(model, x, time_steps=T, layout="step"), y)
    torch.testing.assert_close(value, spikes.mean())


def test_only_training_forwards_since_the_last_loss_count():
    model, (x, y) = net(), batch()
    with rate_penalty(model, LOSS, 0.5) as loss:
        model.eval()
        forward(model, x, time_steps=T)
        model.train()
        with torch.no_grad():
            forward(model, x, time_steps=T)
        with pytest.raises(ObservationError, match="forward in training mode before its loss"):
            loss(torch.zeros(T, 4, 3), y)
        first = loss(forward(model, x, time_steps=T), y)
        assert torch.equal(first, loss(forward(model, x, time_steps=T), y))


def test_nothing_is_left_behind_and_zero_changes_nothing():
    model = net()
    with rate_penalty(model, LOSS, 0.0) as loss:
        assert loss is LOSS
        assert not any(m._forward_hooks for m in model.modules())

    def interrupted():
        with rate_penalty(model, LOSS, 1.0):
            assert any(m._forward_hooks for m in model.modules())
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert not any(m._forward_hooks for m in model.modules())


def test_training_under_the_penalty_fires_less():
    rates = {}
    for weight in (0.0, 20.0):
        model, (x, y) = net(), batch()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with rate_penalty(model, LOSS, weight) as loss:
            for _ in range(30):
                optimizer.zero_grad()
                loss(forward(model, x, time_steps=T), y).backward()
                optimizer.step()
        rates[weight] = spikes_of(model, x)[1].detach().mean().item()
    assert rates[20.0] < 0.5 * rates[0.0]
