"""The firing rule of spike functions."""

import pytest
import torch
from tests.foreign.plain import SetUp, Ternary, Triangle, Vector, Window

from spikeprune.adapters.spike_functions.step import Step, explains, step_of


class At(torch.autograd.Function):
    """A step at a number that is an argument."""

    @staticmethod
    def forward(ctx, mem, threshold):
        return (mem >= threshold).to(mem)


def rule(function, *arguments):
    return step_of(function.apply, arguments, function.apply(*arguments))


@pytest.mark.parametrize(
    ("function", "others", "step"),
    [
        (Triangle, (), Step(0.0, strict=False)),
        (SetUp, (2.0,), Step(0.0, strict=True)),
        (Window, (), Step(0.5, strict=True)),
        (At, (1.0,), Step(1.0, strict=False)),
        (At, (-3.25,), Step(-3.25, strict=False)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_number_is_found(function, others, step, dtype):
    assert rule(function, torch.randn(20, dtype=dtype), *others) == step


def test_a_threshold_that_no_short_number_is():
    found = rule(At, torch.randn(50), 0.3)
    assert found.threshold == pytest.approx(0.3, abs=1e-7)
    mem = torch.linspace(-1, 1, 4001)
    assert torch.equal(found.relative((mem,)) >= 0, At.apply(mem, 0.3).bool())


def test_a_silent_function_is_found_too():
    assert rule(Window, torch.full((5,), -2.0)) == Step(0.5, strict=True)


def test_a_threshold_per_channel():
    mem, threshold = torch.randn(2, 3, 4), torch.tensor([[[0.1], [0.5], [-1.0]]])
    found = rule(Vector, mem, threshold)
    assert found == Step(1, strict=True)
    assert torch.equal(found.relative((mem, threshold)) >= 0, mem > threshold)


def test_equal_to_the_threshold_fires_unless_the_rule_is_strict():
    mem = torch.tensor([0.5, 0.4, 0.6])
    assert (Step(0.5, strict=True).relative((mem,)) >= 0).tolist() == [False, False, True]
    assert (Step(0.5, strict=False).relative((mem,)) >= 0).tolist() == [True, False, True]


def test_three_values_are_no_step():
    assert rule(Ternary.Sign, torch.randn(50)) is None


def test_another_output_is_not_explained():
    mem = torch.randn(9)
    assert explains(Step(0.0, strict=False), (mem,), (mem >= 0).float())
    assert not explains(Step(0.0, strict=False), (mem,), (mem < 0).float())
    assert not explains(Step(1, strict=False), (mem, torch.ones(4)), (mem >= 0).float())
