"""The divergence of a student from its teacher: by hand, its gradient, its limits."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeprune.science.distillation import divergence


def softmax(logits, temperature):
    powers = [math.exp(value / temperature) for value in logits]
    return [power / sum(powers) for power in powers]


def by_hand(student, teacher, temperature):
    """The mean over samples of tau^2 sum p log(p / q)."""
    each = []
    for ours, theirs in zip(student, teacher, strict=True):
        q, p = softmax(ours, temperature), softmax(theirs, temperature)
        each.append(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    return temperature**2 * sum(each) / len(each)


@given(st.integers(0, 99), st.sampled_from([0.5, 1.0, 2.0, 7.0]))
def test_it_is_the_sum_over_classes(seed, temperature):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(3, 4, generator=generator).double() for _ in range(2))
    expected = by_hand(student.tolist(), teacher.tolist(), temperature)
    found = divergence(student, teacher, temperature=temperature)
    assert found.item() == pytest.approx(expected, rel=1e-9)
    shifted = divergence(student + 5, teacher - 3, temperature=temperature)
    torch.testing.assert_close(shifted, found)  # only differences of logits matter


def test_the_mean_is_over_all_axes_ahead_of_the_classes():
    steps = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    apart = [divergence(a, b, temperature=2.0) for a, b in zip(*steps, strict=True)]
    torch.testing.assert_close(divergence(*steps, temperature=2.0), sum(apart) / 2)


def test_the_gradient_is_the_difference_of_the_probabilities():
    student, teacher = torch.randn(5, 4, requires_grad=True), torch.randn(5, 4)
    divergence(student, teacher, temperature=3.0).backward()
    apart = (student / 3).softmax(-1) - (teacher / 3).softmax(-1)
    torch.testing.assert_close(student.grad, 3.0 * apart.detach() / 5)


def test_it_is_zero_at_the_teacher_and_the_squared_distance_when_hot():
    logits = torch.randn(6, 5, dtype=torch.float64)
    assert divergence(logits, logits, temperature=2.0).item() == pytest.approx(0, abs=1e-12)
    other = torch.randn(6, 5, dtype=torch.float64)
    gap = (logits - other) - (logits - other).mean(-1, keepdim=True)
    hot = divergence(other, logits, temperature=1e4)  # Hinton et al., equation 4
    assert hot.item() == pytest.approx((gap**2).sum(-1).mean().item() / (2 * 5), rel=1e-3)
