"""A budget of synaptic operations against counting them one by one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.errors import BudgetError
from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.weights.choose_weights import choose_weights, most_live
from spikeprune.pruning.weights.fit_budgets import Budget, budget_of_share, fit_budgets, mixed
from spikeprune.science.cost import weight_costs

SHAPES = {"conv": (4, 2, 3, 3), "deep": (4, 2, 3, 3), "hidden": (6, 16), "head": (3, 6)}
GROUPS = {"conv": 1, "deep": 2, "hidden": 1, "head": 1}


def drawn(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = {n: (s[1] * GROUPS[n], *s[2:]) for n, s in SHAPES.items()}
    return {n: 20 * torch.rand(s, generator=generator).double() for n, s in shapes.items()}


OPERANDS = drawn()
COSTS = {n: weight_costs(torch.empty(SHAPES[n]), OPERANDS[n]) for n in SHAPES}
SIZE = sum(torch.Size(s).numel() for s in SHAPES.values())


def synops(live, share=1.0, **more):
    return budget_of_share("synops", COSTS, live, share=share, **more)


def COST(live):
    return synops(live).spent(live)


def fitted(choose, live, *, most, share, **more):
    return fit_budgets(
        lambda count: choose(count / SIZE), [synops(live, share, **more)], least=1, most=most
    )


def counted(live):
    """The same cost, weight by weight."""
    total = 0.0
    for name, mask in live.items():
        outputs, inputs = mask.shape[:2]
        for out, into, *place in mask.nonzero().tolist():
            channel = out // (outputs // GROUPS[name]) * inputs + into
            total += float(OPERANDS[name][(channel, *place)])
    return total


def tensors(seed):
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(s, generator=generator) for n, s in SHAPES.items()}


def masks(seed, share):
    generator = torch.Generator().manual_seed(seed + 1)
    return {n: torch.rand(s, generator=generator) < share for n, s in SHAPES.items()}


@given(st.integers(0, 999), st.floats(0, 1))
def test_the_cost_is_that_of_every_live_weight(seed, share):
    live = masks(seed, share)
    assert COST(live) == pytest.approx(counted(live))


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 999),
    st.floats(0.05, 1.0),
    st.sampled_from(["global", "uniform"]),
    st.sampled_from([0.0, 0.3]),
)
def test_the_density_found_is_the_largest_within_the_budget(seed, share, allocation, fraction):
    weights, live = tensors(seed), masks(seed, 0.9)
    weights = {n: w * live[n] for n, w in weights.items()}
    options = PruneOptions.of(
        sparsity=0.5, regrow="random", allocation=allocation, regrow_fraction=fraction
    )
    regrowth = {n: w.abs() + 1 for n, w in tensors(seed + 7).items()} if fraction else {}

    def choose(density):
        return choose_weights(weights, live, regrowth, density=density, options=options)

    most = most_live(live, regrowth.keys(), options)
    alive = sum(int(m.sum()) for m in live.values())
    assert alive <= most <= alive + 0.3 * alive if fraction else most == alive
    selection = fitted(choose, live, most=most, share=share)
    use = selection.budget
    size = sum(w.numel() for w in weights.values())
    count = sum(int(m.sum()) for m in selection.live.values())
    everything = COST({n: torch.ones(s, dtype=torch.bool) for n, s in SHAPES.items()})
    assert (use.unit, use.forced) == ("synops", {})
    assert use.total == pytest.approx(everything)
    assert use.allowed == pytest.approx(share * everything)
    assert use.cost == COST(selection.live) <= use.allowed
    again = choose(count / size)
    assert all(torch.equal(again.kept[n], kept) for n, kept in selection.kept.items())
    assert count <= most
    if count < most:  # one more weight would not fit
        assert COST(choose((count + 1) / size).live) > use.allowed


def test_a_budget_below_a_single_weight_is_refused():
    weights = {n: w.abs() for n, w in tensors(0).items()}
    weights["conv"] += 10  # the dearest operations are the most salient weights
    live = {n: torch.ones_like(w, dtype=torch.bool) for n, w in weights.items()}
    options = PruneOptions.of(sparsity=0.5)

    def choose(density):
        return choose_weights(weights, live, {}, density=density, options=options)

    with pytest.raises(
        BudgetError,
        match=r"a single live weight costs.*that this net allows is 0\.9\d+: lower the sparsity",
    ):
        fitted(choose, live, most=200, share=1e-4)


@pytest.mark.parametrize("without", ["head", "conv"])
def test_regrowth_may_bring_back_what_an_earlier_event_had_no_room_for(without):
    weights, live = tensors(0), masks(0, 0.2)
    weights = {n: w * live[n] for n, w in weights.items()}
    regrowth = {n: w.abs() + 1 for n, w in tensors(7).items() if n != without}
    alive = sum(int(m.sum()) for m in live.values())
    for fraction in (0.0, 0.3):
        options = PruneOptions.of(sparsity=0.5, regrow="random", regrow_fraction=fraction)

        def choose(density, options=options):
            return choose_weights(weights, live, regrowth, density=density, options=options)

        most = most_live(live, regrowth.keys(), options)
        chosen = fitted(choose, live, most=most, share=0.9)
        assert sum(int(m.sum()) for m in chosen.live.values()) == most
        assert chosen.budget.cost < chosen.budget.allowed
        # What was dead before is there by regrowth alone, and by no more than its share.
        assert not any((kept & ~live[n]).any() for n, kept in chosen.kept.items())
        assert most - alive == int(fraction * sum(int(live[n].sum()) for n in regrowth))


@pytest.mark.parametrize("allocation", ["global", "uniform", "erk"])
def test_layers_that_regrow_for_themselves_get_no_more_than_the_rank_gives(allocation):
    live = masks(0, 0.2)
    options = PruneOptions.of(
        sparsity=0.5,
        regrow="random",
        regrow_fraction=0.5,
        regrow_within="layer",
        allocation=allocation,
    )
    alive = sum(int(m.sum()) for m in live.values())
    assert (most_live(live, SHAPES, options) > alive) is (allocation != "global")
    full = {n: torch.ones_like(m) for n, m in live.items()}
    assert most_live(full, SHAPES, options) == sum(m.numel() for m in full.values())


def test_a_dense_net_is_what_the_budget_is_a_share_of():
    weights = tensors(0)
    live = {n: torch.ones_like(w, dtype=torch.bool) for n, w in weights.items()}
    options = PruneOptions.of(sparsity=0.5)

    def choose(density):
        return choose_weights(weights, live, {}, density=density, options=options)

    dense = dict.fromkeys(SHAPES, 25.0) | {"excluded": 1e9}
    use = fitted(choose, live, most=258, share=0.5, dense=dense).budget
    assert use.total == 100
    assert use.cost <= use.allowed == pytest.approx(50)


def test_a_weight_without_cost_is_worth_a_lot_but_not_without_end():
    first = Budget("synops", {"a": torch.tensor([0.0, 1.0, 8.0])}, 4.0, 8.0, least=0.5)
    second = Budget("weights", {"a": torch.ones(1)}, 2.0, 3.0)
    assert mixed([first], 0.0)["a"].tolist() == [0.5, 1.0, 8.0]
    assert mixed([first, second], 1.0)["a"].tolist() == [1.0]
    assert mixed([first, second], 0.5)["a"].tolist() == [0.3125, 0.375, 1.25]
