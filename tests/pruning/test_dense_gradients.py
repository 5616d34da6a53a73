"""Dense gradients: taken just before the step of the optimiser that needs them, once."""

import pytest
import torch
from torch import nn

from spikeprune.errors import ModelError, RunError
from spikeprune.pruning.mask_keeper import MaskKeeper
from spikeprune.science.masks import Mask


class OneWeight:
    """One live and one dead weight; `capturing` is set by the test."""

    def __init__(self):
        self.weight = nn.Parameter(torch.tensor([1.0, 0.0]))
        self.optimizer = torch.optim.SGD([self.weight], lr=0.1)
        self.capturing, self.seen_by_penalty = False, []
        self.keeper = MaskKeeper(
            self.optimizer,
            {"layer.weight": self.weight},
            dense=lambda: self.capturing,
            penalise=self.penalise,
        )
        self.keeper.mask_with(Mask({"layer.weight": torch.tensor([True, False])}), trusted=True)

    def penalise(self):
        gradient = self.weight.grad
        self.seen_by_penalty.append(None if gradient is None else gradient.tolist())

    def step(self, gradient=(3.0, 4.0)):
        self.weight.grad = None if gradient is None else torch.tensor(gradient)
        self.optimizer.step()


def test_the_dense_gradient_is_taken_before_it_is_masked_and_the_step_is_masked():
    loop = OneWeight()
    loop.capturing = True
    loop.step()
    taken = loop.keeper.dense_gradients()
    assert taken["layer.weight"].tolist() == [3.0, 4.0]
    assert loop.seen_by_penalty == [[3.0, 0.0]]
    torch.testing.assert_close(loop.weight.detach(), torch.tensor([0.7, 0.0]))


def test_a_dense_gradient_is_handed_out_once():
    loop = OneWeight()
    loop.capturing = True
    loop.step()
    assert loop.keeper.dense_gradients()
    with pytest.raises(RunError, match=r"optimizer.step\(\) before pruner.step\(\)"):
        loop.keeper.dense_gradients()


def test_nothing_is_taken_unless_the_coming_event_needs_it():
    loop = OneWeight()
    loop.step()
    assert loop.seen_by_penalty == [[3.0, 0.0]]
    with pytest.raises(RunError, match="the optimiser did not step"):
        loop.keeper.dense_gradients()


def test_a_weight_without_a_gradient_is_named():
    loop = OneWeight()
    loop.step(gradient=None)  # in an ordinary step it does not matter
    loop.capturing = True
    with pytest.raises(ModelError, match=r"'layer.weight' got no gradient.*exclude the layer"):
        loop.step(gradient=None)


def test_closing_removes_the_hook_of_the_step():
    loop = OneWeight()
    loop.keeper.close()
    loop.step()
    assert loop.seen_by_penalty == []


class TwoWeights:
    """A loss whose gradient depends on the weights, to be stepped by a closure."""

    def __init__(self, optimizer):
        self.weight = nn.Parameter(torch.tensor([1.0, 0.0]))
        self.optimizer = optimizer([self.weight])
        self.penalties, self.capturing = [], False
        self.keeper = MaskKeeper(
            self.optimizer,
            {"layer.weight": self.weight},
            dense=lambda: self.capturing,
            penalise=lambda: self.penalties.append(self.weight.grad.tolist()),
        )
        self.keeper.mask_with(Mask({"layer.weight": torch.tensor([True, False])}), trusted=True)

    def closure(self):
        self.optimizer.zero_grad()
        loss = ((self.weight - torch.tensor([3.0, 4.0])) ** 2).sum()
        loss.backward()
        return loss


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.1),
        lambda p: torch.optim.Adam(p, lr=0.1),
        lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=3),
    ],
    ids=["SGD", "Adam", "LBFGS"],
)
@pytest.mark.parametrize("named", [False, True])
def test_a_closure_gives_the_gradient_at_the_weights_before_the_step(optimizer, named):
    loop = TwoWeights(optimizer)
    for loop.capturing in (False, True):
        before = loop.weight.detach().clone()
        loss = loop.optimizer.step(**{"closure": loop.closure}) if named else None
        loss = loop.optimizer.step(loop.closure) if loss is None else loss
        assert loss.item() == pytest.approx(float((before[0] - 3) ** 2 + 16))
        loop.keeper.after_step()
        assert loop.weight[1] == 0
        assert loop.weight[0] > before[0]
    taken = loop.keeper.dense_gradients()["layer.weight"]
    torch.testing.assert_close(taken, 2 * (before - torch.tensor([3.0, 4.0])))
    assert all(seen[1] == 0 for seen in loop.penalties)
