"""What any optimiser knows of weights that died or came back is forgotten."""

import pytest
import torch
from torch import nn

from spikeprune.pruning.optimizer_state import SECOND_MOMENTS, reset_state

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "plain sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.1),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.1, momentum=0.9, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=0.1),
}
KEPT = torch.tensor([[True, False, True], [False, True, False]])


def trained(make, kept):
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(2, 3))
    optimizer = make([weight])
    for _ in range(3):
        weight.grad = torch.randn(2, 3)
        optimizer.step()
    state = optimizer.state[weight]
    before = {k: v.clone() for k, v in state.items() if isinstance(v, torch.Tensor)}
    reset_state(optimizer, {"w": weight}, {"w": kept})
    return before, optimizer.state[weight]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_outside_of_the_kept_set_starts_anew(name):
    before, after = trained(OPTIMIZERS[name], KEPT)
    for key, value in before.items():
        if value.shape != KEPT.shape:
            assert torch.equal(after[key], value), key  # step counts, factored moments
            continue
        fill = value[KEPT].mean() if key in SECOND_MOMENTS else 0.0
        assert torch.equal(after[key][KEPT], value[KEPT]), key
        torch.testing.assert_close(after[key][~KEPT], torch.full((3,), float(fill)))


def test_a_tensor_without_kept_weights_takes_the_mean_of_all():
    before, after = trained(OPTIMIZERS["adam"], torch.zeros_like(KEPT))
    mean = float(before["exp_avg_sq"].mean())
    torch.testing.assert_close(after["exp_avg_sq"], torch.full((2, 3), mean))
    assert not after["exp_avg"].any()


def test_the_first_step_of_a_returned_weight_is_not_longer_than_the_learning_rate():
    # exp_avg_sq of 0 at a late step count would make it (1 - 0.9) / sqrt(1 - 0.999) = 3 times lr.
    weight = nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.Adam([weight], lr=0.1)
    for _ in range(1000):
        weight.grad = torch.ones(4)
        optimizer.step()
    reset_state(optimizer, {"w": weight}, {"w": torch.tensor([True, True, True, False])})
    before = weight.detach().clone()
    weight.grad = torch.ones(4)
    optimizer.step()
    steps = (before - weight.detach()).abs()
    assert steps[3] < 0.011
    assert steps[0] == pytest.approx(0.1, rel=1e-3)


def test_an_optimizer_that_never_stepped_has_nothing_to_forget():
    weight = nn.Parameter(torch.zeros(2, 3))
    optimizer = torch.optim.Adam([weight])
    reset_state(optimizer, {"w": weight}, {"w": KEPT})
    assert weight not in optimizer.state
