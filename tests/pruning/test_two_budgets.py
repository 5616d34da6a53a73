"""Two budgets at once against all sets of a small pool, and how much of both is spent."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.pruning.selection import Selection
from spikeprune.pruning.two_budgets import spend_both
from spikeprune.pruning.weights.fit_budgets import Budget, fit_budgets, mixed


def chosen(scores, costs, allowed, *, exact=True):
    """Return the selection of one layer `a` of single weights under two budgets."""
    budgets = [
        Budget(f"unit{i}", {"a": c}, a, 2 * a, 0.0)
        for i, (c, a) in enumerate(zip(costs, allowed, strict=True))
    ]

    def fitted(share):
        order = (scores / mixed(budgets, share)["a"]).argsort(descending=True, stable=True)

        def choose(count):
            kept = torch.zeros(len(scores), dtype=torch.bool)
            kept[order[:count]] = True
            return Selection({"a": kept}, {"a": torch.zeros_like(kept)})

        return fit_budgets(choose, budgets, least=0, most=len(scores))

    selection = spend_both(fitted, exact=exact)
    return selection, selection.live["a"]


number = st.integers(1, 50).map(float)
pools = st.lists(st.tuples(number, number, number), min_size=1, max_size=9)


@settings(deadline=None, max_examples=60)
@given(pools, st.floats(0.1, 1), st.floats(0.1, 1))
def test_no_set_that_costs_no_more_in_either_is_worth_more(pool, first, second):
    scores, *costs = torch.tensor(pool, dtype=torch.float64).T
    allowed = [
        share * float(cost.sum()) for share, cost in zip((first, second), costs, strict=True)
    ]
    _, live = chosen(scores, costs, allowed)
    spent = [float(cost[live].sum()) for cost in costs]
    assert all(s <= a * (1 + 1e-9) for s, a in zip(spent, allowed, strict=True))
    for bits in itertools.product([False, True], repeat=len(pool)):
        other = torch.tensor(bits)
        if all(float(cost[other].sum()) <= s for cost, s in zip(costs, spent, strict=True)):
            assert float(scores[other].sum()) <= float(scores[live].sum()) * (1 + 1e-12)


def many(seed=0, size=3000):
    generator = torch.Generator().manual_seed(seed)
    scores, first, second = torch.rand(3, size, generator=generator, dtype=torch.float64)
    return scores, [first + 0.01, second + 0.01]


@pytest.mark.parametrize("seed", range(3))
def test_where_both_bind_both_are_spent_but_for_single_weights(seed):
    scores, costs = many(seed)
    allowed = [0.2 * float(costs[0].sum()), 0.2 * float(costs[1].sum())]
    selection, live = chosen(scores, costs, allowed)
    for cost, most in zip(costs, allowed, strict=True):
        assert 0 <= most - float(cost[live].sum()) < 2 * float(cost.max())
    use = selection.budget
    assert (use.unit, use.within[0].unit) == ("unit0", "unit1")
    _, rough = chosen(scores, costs, allowed, exact=False)
    for cost, most in zip(costs, allowed, strict=True):
        assert 0 <= most - float(cost[rough].sum()) < 0.001 * most + 2 * float(cost.max())


@pytest.mark.parametrize("free", [0, 1])
def test_with_one_budget_free_it_is_one_ranking_of_score_per_the_other_cost(free):
    scores, costs = many()
    allowed = [0.2 * float(cost.sum()) for cost in costs]
    allowed[free] = float(costs[free].sum())
    _, live = chosen(scores, costs, allowed)
    worth = scores / costs[1 - free]
    assert worth[live].min() > worth[~live].max()
    spent = float(costs[1 - free][live].sum())
    assert 0 <= allowed[1 - free] - spent < float(costs[1 - free].max())
