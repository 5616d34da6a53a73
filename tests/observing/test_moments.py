"""Streamed moments of potentials against stored ones."""

import torch

from spikeprune.observing.potential_sums import MomentSums, PotentialSums, moments_of
from spikeprune.science.surrogate import named_curve


def potentials():
    return torch.randn(4, 5, 3, 2, 2, generator=torch.Generator().manual_seed(0)) - 0.4


def test_streaming_equals_storing():
    x = potentials()
    sums = MomentSums(threshold=0.5)
    for batch in x.split((2, 3), dim=1):
        for steps in batch.split((1, 3)):
            sums.take(steps)
    found = moments_of(sums.sums, 4 * 5 * 4)
    flat = x.transpose(0, 2).flatten(1).double()
    torch.testing.assert_close(found.mean, flat.mean(1).float())
    torch.testing.assert_close(found.variance, flat.var(1, correction=0).float())
    torch.testing.assert_close(found.size, (flat + 0.5).abs().mean(1).float())


def test_a_constant_potential_has_no_variance():
    sums = MomentSums(threshold=1.0)
    sums.take(torch.full((2, 3, 4), 0.1))
    found = moments_of(sums.sums, 6)
    assert found.variance.tolist() == [0.0] * 4
    torch.testing.assert_close(found.size, torch.full((4,), 1.1))


def tally(threshold=0.5):
    curve = named_curve("atan", "derivative")
    return PotentialSums("n", curve, time_steps=4, space="max", time="mean", threshold=threshold)


def test_a_tally_takes_them_if_asked_and_resumes():
    x = potentials()
    whole, first, second = tally(), tally(), tally()
    assert tally(None).take(x) is None
    for part in x.split((2, 3), dim=1):
        whole.take(part)
    first.take(x[:, :2])
    second.load_state_dict(first.state_dict())
    second.take(x[:, 2:])
    one, two = whole.stats(), second.stats()
    for a, b in zip(one.potential, two.potential, strict=True):
        assert torch.equal(a, b)
    plain = tally(None)
    plain.take(x)
    assert plain.stats().moments is None
    torch.testing.assert_close(plain.stats().score, one.score)
