"""Neurons that call no spike function in eval mode: observed all the same, or named."""

import pytest
import torch
from tests.foreign.plain import StateLIF, fire
from torch import nn

from spikeprune import evaluate, score_loader
from spikeprune.adapters.rest import reset
from spikeprune.execution.forward import forward
from spikeprune.wiring.trace import trace

T = 4


class Act(nn.Module):
    def forward(self, u):
        return fire(u)


class FastLIF(StateLIF):
    """Fires by a comparison in eval mode."""

    def step(self, u):
        return fire(u) if self.training else (u >= 0).float()

    def forward(self, x):
        self.mem = x if self.mem is None else 0.6 * self.mem + x
        s = self.step(self.mem - 0.4)
        self.mem = self.mem * (1 - s)
        return s


class WithModule(FastLIF):
    """The function is called by a module of its own, and the neuron chooses."""

    def __init__(self):
        super().__init__()
        self.act = Act()

    def step(self, u):
        return self.act(u) if self.training else (u >= 0).float()


class Noisy(FastLIF):
    """Noise in training."""

    def step(self, u):
        return fire(u + torch.randn_like(u)) if self.training else (u >= 0).float()


def net(first, second):
    torch.manual_seed(0)
    drop, norm = nn.Dropout(0.5), nn.BatchNorm1d(24)
    return nn.Sequential(
        nn.Linear(12, 24), norm, first(), drop, nn.Linear(24, 16), second(), nn.Linear(16, 3)
    )


def rates(model, x):
    """Return the firing rates of both neurons in eval mode, by their outputs."""
    spikes = []
    handles = [
        model[i].register_forward_hook(lambda module, args, output: spikes.append(output.flatten()))
        for i in (2, 5)
    ]
    with torch.no_grad():
        reset(model.eval())
        for _ in range(T):
            model(x)
        reset(model.train())
    for handle in handles:
        handle.remove()
    return torch.cat(spikes[::2]).mean().item(), torch.cat(spikes[1::2]).mean().item()


@pytest.mark.parametrize(
    ("first", "second"),
    [(FastLIF, FastLIF), (WithModule, WithModule), (StateLIF, FastLIF), (WithModule, StateLIF)],
)
def test_firing_in_eval_mode_is_that_of_the_neurons_outputs(first, second):
    model = net(first, second).train()
    wiring = trace(model, torch.rand(4, 12), time_steps=T)
    assert len(wiring.neurons) == 2
    assert wiring.notes == ()
    x, y = 2 * torch.rand(32, 12), torch.zeros(32, dtype=torch.long)
    found = evaluate(model, [(x, y)], time_steps=T, wiring=wiring, latency=False)
    by_hand = rates(model, x)
    assert [row.firing_rate for row in found.layers[:2]] == pytest.approx(by_hand)
    stats = score_loader(
        model,
        [x],
        time_steps=T,
        wiring=wiring,
        forward=lambda x: forward(model, x, time_steps=T, layout=wiring.layout),
    )
    assert [s.rate.mean().item() for s in stats.values()] == pytest.approx(by_hand)
    assert all(module.training for module in model.modules())


def test_a_neuron_that_computes_something_else_in_training_is_named():
    model = net(Noisy, StateLIF)
    wiring = trace(model, torch.rand(4, 12), time_steps=T)
    assert len(wiring.neurons) == 2
    assert "not counted in firing rates: the neurons of 2, which call no spike" in wiring.notes[0]
    x, y = 2 * torch.rand(32, 12), torch.zeros(32, dtype=torch.long)
    found = evaluate(model, [(x, y)], time_steps=T, wiring=wiring, latency=False)
    assert found.notes == wiring.notes
    first, second = rates(model, x)
    assert first > 0
    assert found.layers[0].firing_rate is None
    assert found.layers[1].firing_rate == pytest.approx(second)


class Online(nn.Module):
    """Calls its head once more in training, as online training through time does."""

    def __init__(self):
        super().__init__()
        self.first, self.lif, self.head = nn.Linear(12, 8), FastLIF(), nn.Linear(8, 3)

    def forward(self, x):
        spikes = self.lif(self.first(x))
        if self.lif.training:
            self.head(spikes.detach())
        return self.head(spikes)


def test_a_neuron_that_changes_in_training_what_layers_read_is_not_switched():
    model = Online()
    wiring = trace(model, torch.rand(1, 12), time_steps=T, layout="step")
    assert all(not site.in_training for site in wiring.sites.values())
    assert any("not counted in firing rates: the neurons of lif" in note for note in wiring.notes)
    x = torch.rand(5, 12)
    found = evaluate(model, [(x, torch.zeros(5, dtype=torch.int64))], time_steps=T, wiring=wiring)
    reset(model.eval())
    fired = sum(int(model.lif(model.first(x)).sum()) for _ in range(T))
    assert found.layers[-1].synops == pytest.approx(fired * 3 / 5)
