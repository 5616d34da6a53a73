"""The dense gradients: taken just before the step of the optimiser that needs them, once."""

import pytest
import torch
from torch import nn

from spikeprune.errors import ModelError, RunError
from spikeprune.pruning.events.dense_gradients import DenseGradients


class Loop:
    """One weight; `capturing` is set by the test, and `calls` holds what ran before each step."""

    def __init__(self):
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0]))
        self.optimizer = torch.optim.SGD([self.weight], lr=0.1)
        self.capturing, self.calls = False, []
        self.gradients = DenseGradients(
            {"layer.weight": self.weight},
            self.optimizer,
            capturing=lambda: self.capturing,
            then=(self.mask, lambda: self.calls.append("penalty")),
        )

    def mask(self):
        self.calls.append("mask")
        if self.weight.grad is not None:
            self.weight.grad[1] = 0.0

    def step(self, gradient=(3.0, 4.0)):
        self.weight.grad = None if gradient is None else torch.tensor(gradient)
        self.optimizer.step()


def test_the_gradient_is_taken_before_it_is_masked_and_the_step_is_masked():
    loop = Loop()
    loop.capturing = True
    loop.step()
    taken = loop.gradients.take(needed=True)
    assert taken["layer.weight"].tolist() == [3.0, 4.0]
    assert loop.calls == ["mask", "penalty"]
    torch.testing.assert_close(loop.weight.detach(), torch.tensor([0.7, 2.0]))


def test_a_gradient_is_handed_out_once():
    loop = Loop()
    loop.capturing = True
    loop.step()
    assert loop.gradients.take(needed=True)
    with pytest.raises(RunError, match=r"optimizer.step\(\) before pruner.step\(\)"):
        loop.gradients.take(needed=True)
    assert loop.gradients.take(needed=False) == {}


def test_nothing_is_taken_unless_the_coming_event_needs_it():
    loop = Loop()
    loop.step()
    assert loop.calls == ["mask", "penalty"]
    assert loop.gradients.take(needed=False) == {}


def test_a_weight_without_a_gradient_is_named():
    loop = Loop()
    loop.step(gradient=None)  # in an ordinary step it does not matter
    loop.capturing = True
    with pytest.raises(ModelError, match=r"'layer.weight' got no gradient.*exclude the layer"):
        loop.step(gradient=None)


def test_closing_removes_the_hook():
    loop = Loop()
    loop.gradients.close()
    loop.capturing = True
    loop.step()
    assert loop.calls == []
    assert loop.gradients.take(needed=False) == {}
