import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.errors import ModelError
from spikeprune.science import saliency


@pytest.mark.parametrize("score", [saliency.magnitude, saliency.batchnorm_scale])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_magnitudes_are_detached_absolute_values(score, dtype):
    parameter = torch.nn.Parameter(torch.tensor([[-2.0, 0.0], [-0.0, 3.0]], dtype=dtype))
    result = score(parameter)
    assert result.tolist() == [[2.0, 0.0], [0.0, 3.0]]
    assert result.dtype == dtype
    assert not result.requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_random_follows_the_generator_only(dtype):
    like = torch.zeros(3, 4, dtype=dtype)
    torch.manual_seed(0)
    first = saliency.random(like, torch.Generator().manual_seed(5))
    torch.manual_seed(1)
    again = saliency.random(like, torch.Generator().manual_seed(5))
    other = saliency.random(like, torch.Generator().manual_seed(6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == like.shape
    assert first.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert bool(((first >= 0) & (first < 1)).all())


def test_signed_rank_worked_by_hand():
    weight = torch.tensor([[0.1, 0.4, -0.5, 9.0], [-0.2, 0.2, 0.0, 0.4]])
    live = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]).bool()
    # Positive, by size: 0, 0.1, 0.2, 0.4, 0.4; negative: 0.2, 0.5.
    expected = torch.tensor([[0.4, 1.0, 1.0, 0.0], [0.5, 0.6, 0.2, 1.0]])
    torch.testing.assert_close(saliency.signed_rank(weight, live), expected)


@settings(deadline=None)
@given(st.integers(0, 999), st.floats(0.1, 0.9))
def test_dropping_by_signed_rank_takes_as_much_of_both_signs(seed, share):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(30, 20, generator=generator, dtype=torch.float64)
    live = torch.rand(30, 20, generator=generator) < 0.5
    dropped = live & (saliency.signed_rank(weight, live) <= share)
    for sign in (weight > 0, weight < 0):
        count, gone = int((live & sign).sum()), int((dropped & sign).sum())
        assert share * count - 1 - 1e-9 < gone <= share * count + 1e-9
        kept = live & sign & ~dropped
        if gone and kept.any():
            assert weight[dropped & sign].abs().max() <= weight[kept].abs().min()


def test_drive_reads_the_rate_of_the_presynaptic_channel():
    weight = torch.tensor([[-2.0, 1.0], [3.0, -4.0]]).reshape(2, 2, 1, 1)
    found = saliency.drive(weight, torch.tensor([0.5, 0.25]))
    assert found.flatten().tolist() == [1.0, 0.25, 1.5, 1.0]
    depthwise = saliency.drive(torch.tensor([[-2.0], [3.0]]), torch.tensor([0.5, 0.25]))
    assert depthwise.flatten().tolist() == [1.0, 0.75]


def test_the_density_at_threshold_is_the_normal_s():
    mean, variance = torch.tensor([0.0, 0.5, -2.0]), torch.tensor([1.0, 0.25, 4.0])
    expected = torch.distributions.Normal(mean, variance.sqrt()).log_prob(torch.zeros(3)).exp()
    torch.testing.assert_close(saliency.threshold_density(mean, variance), expected)
    constant = saliency.threshold_density(torch.tensor([0.3]), torch.tensor([0.0]))
    assert constant.tolist() == [0.0]


def test_crisis_worked_by_hand():
    found = saliency.crisis(
        torch.tensor([[1.0, 2.0], [4.0, 0.0]]),
        torch.tensor([0.5, 0.1]),
        torch.tensor([2.0, 1.0]),
        torch.tensor([0.3, 0.7]),
    )
    torch.testing.assert_close(found, torch.tensor([[0.3, 0.12], [1.4, 0.0]]))


def test_scores_of_the_loss_are_products():
    weight, other = torch.tensor([1.0, -2.0, 3.0]), torch.tensor([0.5, 0.5, -1.0])
    assert saliency.connection_sensitivity(weight, other).tolist() == [0.5, 1.0, 3.0]
    assert saliency.gradient_flow(weight, other).tolist() == [0.5, -1.0, -3.0]


def test_removing_the_largest_flow_costs_the_gradient_most():
    # L = w' A w / 2, g = A w, H g = A A w; what removing w_q does to |g|^2, to first order.
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    matrix, w = root @ root.T, torch.randn(5, generator=generator, dtype=torch.float64)
    flow = saliency.gradient_flow(w, matrix @ matrix @ w)
    for q in range(5):
        step = torch.zeros(5, dtype=torch.float64)
        step[q] = -1e-6 * w[q]
        changed = (matrix @ (w + step)).square().sum() - (matrix @ w).square().sum()
        torch.testing.assert_close(changed / 1e-6, -2 * flow[q], rtol=1e-4, atol=1e-6)


@given(st.integers(0, 999), st.integers(1, 40), st.floats(0.1, 1))
def test_lamp_against_its_definition(seed, size, share):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(-4, 5, (size,), generator=generator).double()  # with many ties
    live = torch.rand(size, generator=generator) < share
    found = saliency.lamp(weight, live)
    for u in range(size):
        larger = weight[live & (weight.abs() >= weight[u].abs())].square()
        expected = float(weight[u].square() / larger.sum()) if live[u] and weight[u] else 0
        assert float(found[u]) == pytest.approx(expected)


def test_lamp_ranks_as_magnitude_within_a_layer_and_keeps_the_largest_of_each():
    weight = torch.tensor([[3.0, -1.0], [0.5, 2.0]])
    found = saliency.lamp(weight, torch.ones(2, 2, dtype=torch.bool))
    assert torch.equal(found.flatten().argsort(), weight.abs().flatten().argsort())
    assert float(found[0, 0]) == 1.0
    scaled = saliency.lamp(1e-3 * weight, torch.ones(2, 2, dtype=torch.bool))
    torch.testing.assert_close(scaled, found)  # so it compares across layers


def test_distortion_is_a_share_of_the_drive():
    weight, cost = torch.tensor([[1.0, -2.0], [0.0, 1.0]]), torch.tensor([[3.0, 1.0]])
    found = saliency.distortion(weight, cost)
    torch.testing.assert_close(found, torch.tensor([[3.0, 4.0], [0.0, 1.0]]) / 8)
    assert not saliency.distortion(weight, torch.zeros(1, 2)).any()


def test_taylor_and_spike_effect_by_hand():
    weight = torch.tensor([[1.0, -2.0], [0.5, 1.0]])
    gradient = torch.tensor([[2.0, 1.0], [0.0, -3.0]])
    assert saliency.taylor(weight, gradient).tolist() == [[4.0, 4.0], [0.0, 9.0]]
    effect = saliency.spike_effect(weight, torch.tensor([0.5, 0.25]), torch.tensor([1.0, 2.0]))
    assert effect.tolist() == [[0.5, 0.5], [0.5, 0.5]]


SMALL = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 5)), min_size=1, max_size=9)


@given(SMALL, st.data())
def test_no_set_of_the_same_cost_is_worth_more_than_the_first_by_marginal_value(pool, data):
    """Against exhaustive search, in a knapsack that the choice fills exactly."""
    scores, costs = (torch.tensor(part, dtype=torch.float64) for part in zip(*pool, strict=True))
    worth = saliency.marginal_value({"a": scores}, costs={"a": costs.clamp_min(0.1)})["a"]
    order = worth.argsort(descending=True, stable=True)
    first = order[: data.draw(st.integers(0, len(pool)))]
    spent, gained = float(costs[first].sum()), float(scores[first].sum())
    best = max(
        sum(scores[i] for i in chosen)
        for count in range(len(pool) + 1)
        for chosen in itertools.combinations(range(len(pool)), count)
        if sum(costs[i] for i in chosen) <= spent
    )
    assert gained == float(best)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wanda_is_the_mean_square_of_what_the_membrane_loses(dtype):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 4, generator=generator, dtype=dtype)
    gain = torch.tensor([0.5, 1.0, 2.0], dtype=dtype)
    x = torch.randn(50, 4, generator=generator, dtype=dtype)
    found = saliency.wanda(weight, x.square().mean(0), gain)
    for o in range(3):
        for i in range(4):
            without = weight.clone()
            without[o, i] = 0
            lost = gain * (x @ (weight - without).T)
            assert float(found[o, i]) == pytest.approx(float(lost.square().sum(1).mean()), rel=1e-4)
    assert found.dtype == dtype
    with pytest.raises(ModelError):
        saliency.wanda(weight, x.square().mean(0), gain[:2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fisher_by_hand(dtype):
    weight = torch.tensor([2.0, -1.0, 0.0], dtype=dtype)
    found = saliency.fisher(weight, torch.tensor([0.5, 3.0, 9.0]))
    assert found.tolist() == [2.0, 3.0, 0.0]
    assert found.dtype == torch.float32
