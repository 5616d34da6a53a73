"""Mean squares of gradients over the steps before an event, against those of the loop itself."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from spikeprune import Pruner
from spikeprune.errors import ConfigError, ModelError, RunError
from spikeprune.pruning.events.gradient_squares import BATCHES, GradientSquares
from spikeprune.science.saliency import fisher

WEIGHT = nn.Parameter(torch.tensor([1.0, 2.0]))


def take(squares, step, *gradient):
    WEIGHT.grad = torch.tensor(gradient) if gradient else None
    squares.take(step, {"a": WEIGHT})


def test_the_mean_is_over_the_steps_up_to_each_event():
    squares = GradientSquares((0, 3, 6), batches=2)
    for step in range(1, 4):
        take(squares, step, float(step), 1.0)
        take(squares, step, 100.0, 100.0)  # a closure that runs again
    assert squares.mean()["a"].tolist() == [(4 + 9) / 2, 1.0]
    for step in range(4, 7):
        take(squares, step, float(step), 1.0)
    assert squares.mean()["a"].tolist() == [(25 + 36) / 2, 1.0]


def test_by_default_there_are_as_many_as_fit():
    few, many = GradientSquares((4, 6), batches=None), GradientSquares((50, 100), batches=None)
    for step in range(1, 51):
        take(many, step, float(step), 0.0)
        if step <= 4:
            take(few, step, float(step), 0.0)
    assert few.mean()["a"][0] == (9 + 16) / 2
    expected = sum(step**2 for step in range(51 - BATCHES, 51)) / BATCHES
    assert float(many.mean()["a"][0]) == pytest.approx(expected)


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match=r"gradient_batches = 4 does not fit between .* 3 steps"):
        GradientSquares((0, 3, 6), batches=4)
    squares = GradientSquares((3,), batches=2)
    with pytest.raises(ModelError, match="'a' got no gradient"):
        take(squares, 2)
    take(squares, 3, 1.0, 1.0)
    with pytest.raises(RunError, match="gradients of 2 steps, but the optimiser made 1 of them"):
        squares.mean()


def test_without_events_nothing_is_squared():
    squares = GradientSquares((), batches=99)
    take(squares, 1, 1.0, 1.0)
    assert squares.mean() == {}
    assert squares.state_dict() == {"sums": {}, "taken": []}


def test_a_window_under_way_goes_on_after_a_resume():
    first, again = (GradientSquares((3,), batches=3) for _ in range(2))
    take(first, 1, 1.0, 2.0)
    again.load_state_dict(first.state_dict(), {"a": WEIGHT})
    for step in (2, 3):
        take(first, step, 3.0, 4.0)
        take(again, step, 3.0, 4.0)
    assert torch.equal(first.mean()["a"], again.mean()["a"])
    again.load_state_dict({}, {"a": WEIGHT})  # of an older version
    assert again.state_dict() == {"sums": {}, "taken": []}


class Net(nn.Sequential):
    def __init__(self):
        torch.manual_seed(0)
        super().__init__(layer.Linear(6, 8), neuron.LIFNode(v_threshold=0.3), layer.Linear(8, 3))
        functional.set_step_mode(self, "m")


def test_an_event_keeps_the_largest_squares_of_weight_and_gradients():
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    pruner = Pruner(
        model, optimizer, torch.zeros(1, 6), time_steps=3, total_steps=8, sparsity=0.6,
        method="fisher", schedule="linear", every=4, gradient_batches=3, layout="sequence",
    )  # fmt: skip
    generator, seen = torch.Generator().manual_seed(1), []
    for _ in range(8):
        functional.reset_net(model)
        x = torch.rand(3, 16, 6, generator=generator)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x).mean(0), torch.arange(16) % 3)
        (loss * 2).backward()
        seen.append({n: p.grad.square() for n, p in pruner.parameters.items()})
        optimizer.step()
        live = dict(pruner.mask)
        weights = {n: p.detach().clone() for n, p in pruner.parameters.items()}
        event = pruner.step()
        if event is None:
            continue
        squares = {n: torch.stack([one[n] for one in seen[-3:]]).mean(0) for n in weights}
        scores = {n: fisher(w, squares[n])[live[n]] for n, w in weights.items()}
        kept = torch.cat([scores[n][pruner.mask[n][live[n]]] for n in weights])
        gone = torch.cat([scores[n][~pruner.mask[n][live[n]]] for n in weights])
        assert len(kept) == event.live
        assert float(kept.min()) >= float(gone.max())
    assert len(pruner.events) == 2
    assert pruner.start_cost == 0  # the gradients are those of the training
