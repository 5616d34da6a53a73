import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.errors import ModelError
from spikeprune.science import regrowth

DTYPES = [torch.float32, torch.float64]


def tensors(seed, dtype, *shapes):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2), (4, 3, 2, 5)])
def test_scores_per_weight_by_definition(shape, dtype):
    weight, channel, rate, grad = tensors(0, dtype, shape, shape[0], shape[1], shape)
    channel, rate = channel.abs(), rate.abs()
    post = regrowth.criticality(weight, channel)
    pre = regrowth.criticality_rate(weight, channel, rate)
    with_gradient = regrowth.criticality_gradient(weight, channel, grad)
    ones = (1,) * (len(shape) - 2)
    assert post.shape == (shape[0], 1, *ones)
    assert pre.shape == (*shape[:2], *ones)
    for o in range(shape[0]):
        assert bool((post.expand(shape)[o] == channel[o]).all())
        torch.testing.assert_close(with_gradient[o], channel[o] * grad[o].abs())
        for i in range(shape[1]):
            assert bool((pre.expand(shape)[o, i] == channel[o] * rate[i]).all())
    assert torch.equal(regrowth.gradient(weight, grad), grad.abs())


def test_scores_are_detached():
    weight, channel, grad = (
        t.requires_grad_() for t in tensors(0, torch.float32, (2, 3), 2, (2, 3))
    )
    assert not regrowth.criticality(weight, channel).requires_grad
    assert not regrowth.criticality_gradient(weight, channel, grad).requires_grad
    assert not regrowth.gradient(weight, grad).requires_grad
    assert not regrowth.synops_normalised(channel, torch.ones(2), 1).requires_grad


def test_rates_of_a_grouped_convolution_follow_the_groups():
    weight = torch.zeros(4, 2, 1, 1)  # two groups of two outputs, two inputs each
    scores = regrowth.criticality_rate(weight, torch.ones(4), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert scores.flatten(1).tolist() == [[1, 2], [1, 2], [3, 4], [3, 4]]


def test_random_is_the_generators_choice():
    weight = torch.zeros(2, 3)
    scores = [regrowth.random(weight, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*scores)
    assert scores[0].shape == weight.shape


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda w: regrowth.criticality(w, torch.ones(3)), "expected 4 channel scores"),
        (lambda w: regrowth.criticality_rate(w, torch.ones(4), torch.ones(5)), "one rate"),
        (lambda w: regrowth.criticality_rate(w, torch.ones(4), torch.ones(0)), "one rate"),
        (lambda w: regrowth.criticality_rate(w, torch.ones(4), torch.ones(9)), "one rate"),
        (lambda w: regrowth.criticality_rate(w, torch.ones(4), torch.ones(1, 3)), "one rate"),
        (lambda w: regrowth.criticality_gradient(w, torch.ones(4), torch.ones(4)), "a gradient"),
        (lambda w: regrowth.gradient(w, torch.ones(3)), "a gradient"),
    ],
)
def test_values_that_do_not_fit_the_weight_are_refused(call, expected):
    with pytest.raises(ModelError, match=expected):
        call(torch.zeros(4, 3, 2, 2))


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=6),
    st.lists(st.one_of(st.just(0.0), st.floats(0, 1e6, width=32)), min_size=1, max_size=6),
    st.integers(1, 60000),
    st.sampled_from(DTYPES),
)
def test_silent_weights_come_last_and_all_scores_are_usable(channel, added, samples, dtype):
    weight = torch.zeros(len(channel), len(added), dtype=dtype)
    score = regrowth.criticality(weight, torch.tensor(channel, dtype=dtype))
    work = torch.tensor(added, dtype=dtype)[None, :]
    result = regrowth.synops_normalised(score, work, samples)
    assert result.shape == weight.shape
    assert result.dtype == dtype
    assert bool(result.isfinite().all())
    silent = (work == 0).expand(weight.shape)
    assert bool((result[silent] == 0).all())
    assert bool((result[~silent] > 0).all())
    expected = score / work.clamp_min(1 / samples)
    torch.testing.assert_close(result[~silent], expected[~silent], rtol=1e-6, atol=1e-37)


def test_synops_normalisation_by_hand():
    score = torch.tensor([[1.0], [0.5]])
    added = torch.tensor([[4.0, 0.01, 0.0]])
    result = regrowth.synops_normalised(score, added, samples=10)
    torch.testing.assert_close(result, torch.tensor([[0.25, 10.0, 0.0], [0.125, 5.0, 0.0]]))


def test_criticality_magnitude_is_their_product():
    weight, score = torch.zeros(2, 3), torch.tensor([0.5, 2.0])
    remembered = torch.tensor([[1.0, 0.0, 3.0], [0.25, 1.0, 2.0]])
    found = regrowth.criticality_magnitude(weight, score, remembered)
    assert found.tolist() == [[0.5, 0.0, 1.5], [0.5, 2.0, 4.0]]
    with pytest.raises(ModelError, match="shape"):
        regrowth.criticality_magnitude(weight, score, remembered[:1])
