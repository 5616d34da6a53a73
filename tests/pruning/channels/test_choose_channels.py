"""The channel event against slow references: what it costs, what it keeps, what it brings back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.errors import BudgetError
from spikeprune.pruning.channels.choose_channels import choose_channels
from spikeprune.pruning.option_types import ChannelOptions
from spikeprune.pruning.options import PruneOptions

NAMES = ["residual", "vgg-small", "depthwise"]


def options(sparsity, *, fraction=0.05, share=0.0, allocation="global", within=None, **channels):
    return PruneOptions.of(
        sparsity=sparsity,
        granularity="channel",
        floor=share,
        allocation=allocation,
        within=within or {},
        regrow_fraction=fraction,
        channels=ChannelOptions(**channels),
    )


def reference(saliency, regrowth, fraction, model_cost, budget):
    """Add channels one by one, floors of 1, until the next one costs too much."""
    names = list(saliency)
    every = [(n, i) for n in names for i in range(len(saliency[n]))]

    def order(score):
        return sorted(every, key=lambda key: (-float(score[key[0]][key[1]]), *position(key)))

    def position(key):
        return names.index(key[0]), key[1]

    def chosen(count):
        grow = int(fraction * count + 1e-9) if regrowth else 0
        kept = set(order(saliency)[: count - grow])
        others = [key for key in every if key not in kept]
        if regrowth:
            others.sort(
                key=lambda key: (
                    -float(regrowth[key[0]][key[1]]),
                    -float(saliency[key[0]][key[1]]),
                    *position(key),
                )
            )
        regrown = set(others[:grow])
        for name in names:
            if not any(key[0] == name for key in kept | regrown):
                kept.add(
                    max(every, key=lambda k: (k[0] == name, float(saliency[k[0]][k[1]]), k[1]))
                )
        return kept, regrown

    def spent(count):
        live = {n: torch.zeros(len(saliency[n]), dtype=torch.bool) for n in names}
        for name, i in set.union(*chosen(count)):
            live[name][i] = True
        return model_cost(live)

    count = 0
    while count < len(every) and spent(count + 1) <= budget * (1 + 1e-9):
        count += 1
    return (*chosen(count), spent(count), spent(min(count + 1, len(every))))


def positions(masks):
    return {(n, i) for n, m in masks.items() for i in m.nonzero().flatten().tolist()}


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    seed=st.integers(0, 10**6),
    budget=st.sampled_from(["channels", "parameters", "macs", "synops"]),
    sparsity=st.floats(0.05, 0.7),
    fraction=st.sampled_from([0.0, 0.05, 0.2, 0.5]),
    regrow=st.booleans(),
)
def test_an_event_equals_the_slow_reference(traced, name, seed, budget, sparsity, fraction, regrow):
    net = traced(name)
    saliency = net.draw(seed)
    regrowth = net.draw(seed + 1, levels=3) if regrow else None
    model_cost = net.cost(budget)
    chosen = choose_channels(
        saliency, regrowth, [model_cost], options(sparsity, fraction=fraction, budget=budget)
    )
    total = model_cost({})
    kept, regrown, spent, following = reference(
        saliency, regrowth, fraction, model_cost, (1 - sparsity) * total
    )
    assert (positions(chosen.kept), positions(chosen.regrown)) == (kept, regrown)
    assert positions(chosen.live) == kept | regrown
    use = chosen.budget
    assert use.unit == budget
    assert use.total == pytest.approx(total)
    assert use.allowed == pytest.approx((1 - sparsity) * total)
    assert use.cost == pytest.approx(spent)
    assert use.cost <= use.allowed
    # The gap is smaller than what the next channel would have cost.
    assert use.allowed - use.cost <= following - spent or use.cost == total


def test_the_event_worked_by_hand(traced):
    # 25 untied channels, 10 of them live: C = 10, G = floor(0.2 x 10) = 2.
    net = traced("vgg-small")
    sizes = {"stem.conv": 4, "body.conv2": 6, "body.conv3": 8, "head.hidden1": 7}
    assert {g.name: g.channels for g in net.groups} == sizes
    saliency = {
        "stem.conv": torch.tensor([9.0, 1, 1, 1]),
        "body.conv2": torch.tensor([8.0, 7, 1, 1, 1, 1]),
        "body.conv3": torch.tensor([6.0, 5, 4, 1, 1, 1, 1, 1]),
        "head.hidden1": torch.tensor([3.0, 2, 1, 1, 1, 1, 1]),
    }
    regrowth = {n: torch.zeros_like(r) for n, r in saliency.items()}
    regrowth["stem.conv"][2] = regrowth["head.hidden1"][6] = 1.0
    regrowth["body.conv3"][1] = 2.0  # kept already
    chosen = choose_channels(
        saliency, regrowth, [net.cost("channels")], options(1 - 10 / 25, fraction=0.2)
    )
    assert positions(chosen.kept) == {
        ("stem.conv", 0),
        ("body.conv2", 0),
        ("body.conv2", 1),
        ("body.conv3", 0),
        ("body.conv3", 1),
        ("body.conv3", 2),
        ("head.hidden1", 0),
        ("head.hidden1", 1),
    }
    assert positions(chosen.regrown) == {("stem.conv", 2), ("head.hidden1", 6)}
    use = chosen.budget
    assert (use.unit, use.cost, use.total, use.forced) == ("channels", 10, 25, {})


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    seed=st.integers(0, 10**6),
    floor=st.integers(1, 5),
    step=st.integers(1, 4),
    sparsity=st.floats(0.05, 0.5),
)
def test_floors_and_multiples_are_held(traced, name, seed, floor, step, sparsity):
    net = traced(name)
    saliency, regrowth = net.draw(seed), net.draw(seed + 1)
    made = options(sparsity, fraction=0.3, floor=floor, round_to=step)
    model_cost = net.cost("channels")
    least = {n: min(len(r), -(-floor // step) * step) for n, r in saliency.items()}
    floors = {n: torch.arange(len(r)) < least[n] for n, r in saliency.items()}
    if model_cost(floors) > (1 - sparsity) * model_cost({}) * (1 + 1e-9):
        with pytest.raises(BudgetError, match="the floors alone exceed the budget"):
            choose_channels(saliency, regrowth, [model_cost], made)
        return
    chosen = choose_channels(saliency, regrowth, [model_cost], made)
    assert chosen.budget.cost <= chosen.budget.allowed
    for group, live in chosen.live.items():
        count, size = int(live.sum()), len(live)
        assert count >= min(floor, size)
        assert count % step == 0 or count == size
        assert not (chosen.kept[group] & chosen.regrown[group]).any()
        assert 0 <= chosen.budget.forced.get(group, 0) <= count


def test_forced_channels_are_the_best_of_their_layer_and_counted(traced):
    net = traced("residual")
    saliency = net.draw(0)
    saliency["inner"] = saliency["inner"] / 1e3  # the saliency alone would cut all of them
    saliency["inner"][3] *= 10
    chosen = choose_channels(saliency, None, [net.cost("channels")], options(0.4, floor=1))
    assert positions(chosen.live) >= {("inner", 3)}
    assert chosen.budget.forced == {"inner": 1}


def test_floors_above_the_budget_are_refused(traced):
    net = traced("residual")
    with pytest.raises(
        BudgetError,
        match=r"floors alone exceed the budget: 4 channel.*allows is 0.2941: lower the sparsity",
    ):
        choose_channels(net.draw(0), None, [net.cost("channels")], options(0.9, floor=4))


@pytest.mark.parametrize("name", NAMES)
def test_per_cost_channels_rank_by_score_over_their_products(traced, name):
    net = traced(name)
    cost = net.cost("macs")
    whole = {g.name: torch.ones(g.channels, dtype=torch.bool) for g in net.groups}
    each = cost.of_channels({n: len(m) for n, m in whole.items()})
    for group, mask in whole.items():  # without one channel the cost falls by what is its own
        for i in (0, len(mask) - 1):
            without = {**whole, group: mask.clone()}
            without[group][i] = False
            fall = cost(whole) - cost(without)
            both = sum(
                t.unit * float(t.outs[group][i]) * float(t.ins[group][i])
                for t in cost.terms
                if group in t.outs and group in t.ins
            )
            assert float(each[group][i]) == pytest.approx(fall + both)
    saliency = {n: s + 1 for n, s in net.draw(5).items()}
    made = options(0.5, allocation="budget", budget="macs", floor=1)
    chosen = choose_channels(saliency, None, [cost], made)
    assert chosen.budget.cost <= chosen.budget.allowed
    worth = {n: (s / each[n].clamp_min(1e-9)) for n, s in saliency.items()}
    several = [n for n, m in chosen.live.items() if int(m.sum()) > 1]
    kept = torch.cat([worth[n][chosen.live[n]] for n in several])
    gone = torch.cat([worth[n][~m] for n, m in chosen.live.items()])
    assert kept.min() >= gone.max() * (1 - 1e-6)


def test_two_budgets_of_channels_are_both_met(traced):
    net = traced("vgg-small")
    saliency = {n: s + 1 for n, s in net.draw(5, levels=1000).items()}
    costs = [net.cost("macs"), net.cost("parameters")]
    made = options(0.5, allocation="budget", budget="macs", within={"parameters": 0.4}, floor=1)
    use = choose_channels(saliency, None, costs, made).budget
    assert [one.unit for one in (use, *use.within)] == ["macs", "parameters"]
    assert all(one.cost <= one.allowed for one in (use, *use.within))
    alone = choose_channels(saliency, None, costs[:1], options(0.5, budget="macs", floor=1))
    assert costs[1](alone.live) > use.within[0].allowed  # so the second budget decides


def test_every_layer_keeps_a_share_of_a_uniform_allocation(traced):
    net = traced("vgg-small")
    saliency = {
        n: torch.full((g.channels,), i + 1.0)
        for i, (n, g) in enumerate((g.name, g) for g in net.groups)
    }
    made = options(0.75, share=0.5, budget="macs")  # uniform keeps half of the channels
    live = choose_channels(saliency, None, [net.cost("macs")], made).live
    assert all(int(m.sum()) >= 0.25 * len(m) for m in live.values())
