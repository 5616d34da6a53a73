"""One event of weight pruning, against a slow reference by plain sorting and by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprune.errors import BudgetError, ConfigError, RunError
from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.weights.choose_weights import check_target, choose_weights, make_pools
from spikeprune.science.allocation import floor_share
from spikeprune.science.schedule import density_at

SHAPES = {"conv": (4, 2, 3, 3), "hidden": (6, 16), "head": (3, 6)}
FEEDING = ("conv", "hidden")
N = sum(math.prod(shape) for shape in SHAPES.values())


def tensors(seed, *, levels=None):
    """Weights by layer; with `levels`, of few values, so that there are many ties."""
    generator = torch.Generator().manual_seed(seed)
    if levels is None:
        return {n: torch.randn(s, generator=generator) for n, s in SHAPES.items()}
    draw = {
        n: torch.randint(-levels, levels + 1, s, generator=generator) for n, s in SHAPES.items()
    }
    return {n: t.float() for n, t in draw.items()}


def some_live(seed, share):
    generator = torch.Generator().manual_seed(seed + 1)
    return {n: torch.rand(s, generator=generator) < share for n, s in SHAPES.items()}


def scores_of_channels(seed, *, levels=3):
    generator = torch.Generator().manual_seed(seed + 2)
    scores = {n: torch.randint(levels, (SHAPES[n][0],), generator=generator) for n in FEEDING}
    return {n: s.float().reshape(-1, *[1] * (len(SHAPES[n]) - 1)) for n, s in scores.items()}


def options(**changes):
    return PruneOptions.of(**{"sparsity": 0.9, "regrow": "criticality"} | changes)


def reference_global(weights, live, regrowth, density, fraction):
    """Algorithm 1 on lists of (layer, position), sorted in plain Python."""
    order = {name: i for i, name in enumerate(weights)}
    every = [(n, i) for n, w in weights.items() for i in range(w.numel())]
    w = {(n, i): abs(v) for n in weights for i, v in enumerate(weights[n].flatten().tolist())}
    alive = {(n, i): v for n in live for i, v in enumerate(live[n].flatten().tolist())}
    score = {
        (n, i): v
        for n in regrowth
        for i, v in enumerate(regrowth[n].expand(weights[n].shape).flatten().tolist())
    }

    def index(key):
        return order[key[0]], key[1]

    total = round(density * len(every))
    ranked = sorted(every, key=lambda key: (not alive[key], -w[key], index(key)))
    head = [key for key in ranked[:total] if key[0] not in regrowth]
    rest = total - len(head)
    grow = int(fraction * rest)
    body = [key for key in ranked if key[0] in regrowth and alive[key]]
    kept = set(body[: rest - grow]) | set(head)
    grow = total - len(kept)
    others = [key for key in every if key[0] in regrowth and key not in kept]
    regrown = set(sorted(others, key=lambda key: (-score[key], -w[key], index(key)))[:grow])
    return kept, regrown


def positions(masks):
    return {(n, i) for n, m in masks.items() for i in m.flatten().nonzero().flatten().tolist()}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    levels=st.sampled_from([None, 1, 4]),
    share=st.floats(0.2, 1.0),
    shrink=st.floats(0.05, 1.0),
    fraction=st.sampled_from([0.0, 0.05, 0.2, 0.5, 0.9]),
)
def test_a_global_event_equals_the_slow_reference(seed, levels, share, shrink, fraction):
    live = some_live(seed, share)
    weights = {n: w * live[n] for n, w in tensors(seed, levels=levels).items()}
    density = shrink * sum(int(m.sum()) for m in live.values()) / N
    regrowth = scores_of_channels(seed)
    chosen = choose_weights(
        weights,
        live,
        regrowth,
        density=density,
        options=options(regrow_fraction=fraction),
    )
    kept, regrown = reference_global(weights, live, regrowth, density, fraction)
    assert positions(chosen.kept) == kept
    assert positions(chosen.regrown) == regrown


def test_an_event_worked_by_hand():
    # 10 weights, K = round(0.5 x 10) = 5. By |w| the five largest: a0 a1 a2 b0 h0, so the
    # classifier keeps 1 and K_rest = 4, of which G = floor(0.5 x 4) = 2 by regrowth.
    weights = {
        "a": torch.tensor([[5.0, -4.0], [3.0, 0.5]]),
        "b": torch.tensor([[6.0, 0.0, 1.0]]),
        "h": torch.tensor([[-7.0, 0.2, 0.1]]),
    }
    live = {n: torch.ones_like(w, dtype=torch.bool) for n, w in weights.items()}
    live["b"][0, 1] = False
    # Kept by saliency: b0 (6) and a0 (5). Of a1 a2 a3 b1 b2 the channel of a2, a3 scores highest.
    regrowth = {"a": torch.tensor([[0.3], [0.9]]), "b": torch.tensor([[0.5]])}
    chosen = choose_weights(
        weights,
        live,
        regrowth,
        density=0.5,
        options=options(regrow_fraction=0.5),
    )
    assert positions(chosen.kept) == {("a", 0), ("b", 0), ("h", 0)}
    assert positions(chosen.regrown) == {("a", 2), ("a", 3)}
    assert positions(chosen.live) == {("a", 0), ("a", 2), ("a", 3), ("b", 0), ("h", 0)}
    # With the scores of b above: b2 (|w| 1) before the dead b1 (|w| 0).
    regrowth["b"] += 1
    chosen = choose_weights(
        weights,
        live,
        regrowth,
        density=0.5,
        options=options(regrow_fraction=0.5),
    )
    assert positions(chosen.regrown) == {("b", 1), ("b", 2)}


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    allocation=st.sampled_from(["global", "uniform", "erk"]),
    regrow=st.sampled_from(["criticality", "none"]),
    saliency=st.sampled_from(["magnitude", "random"]),
    fraction=st.sampled_from([0.0, 0.2, 0.9]),
    limited=st.sampled_from([{}, {"conv": (0.5, 1.0)}, {"h*": (0.1, 0.2)}, {"head": (0.2, 0.3)}]),
    final=st.floats(0.25, 0.45),
    densities=st.lists(st.floats(0.45, 1.0), min_size=2, max_size=6),
)
def test_a_chain_of_events_keeps_every_invariant(
    seed, allocation, regrow, saliency, fraction, limited, final, densities
):
    chosen_options = options(
        sparsity=1 - final,
        allocation=allocation,
        regrow=regrow,
        saliency=saliency,
        regrow_fraction=fraction,
        limits=limited,
    )
    live = {n: torch.ones(s, dtype=torch.bool) for n, s in SHAPES.items()}
    generator = torch.Generator().manual_seed(seed)
    for k, density in enumerate([*sorted(densities, reverse=True), 1 - (1 - final)]):
        weights = {n: w * live[n] for n, w in tensors(seed + k, levels=2).items()}
        regrowth = scores_of_channels(seed + k) if regrow == "criticality" else {}
        drawn = {n: torch.rand(s, generator=generator) for n, s in SHAPES.items()}
        event = choose_weights(
            weights,
            live,
            regrowth,
            density=density,
            options=chosen_options,
            saliency=drawn if saliency == "random" else None,
        )
        kept, regrown = positions(event.kept), positions(event.regrown)
        assert len(kept) + len(regrown) == round(density * N)
        assert kept <= positions(live)
        assert not kept & regrown
        assert not any(name == "head" for name, _ in regrown)
        if regrow == "none":
            assert not regrown
        for pattern, (low, high) in limited.items():
            for name in ("hidden", "head") if pattern == "h*" else (pattern,):
                size = math.prod(SHAPES[name])
                count = sum(n == name for n, _ in kept | regrown)
                assert math.floor(low * size) <= count
                assert count <= math.ceil(high * size) or k < len(densities)
        live = event.live


@pytest.mark.parametrize("allocation", ["uniform", "erk"])
def test_rounding_never_gives_a_layer_more_than_it_has(allocation):
    # The largest remainder may go to another layer when the total falls by one.
    live = {n: torch.ones(s, dtype=torch.bool) for n, s in SHAPES.items()}
    weights = tensors(0)
    for total in range(N, N // 4, -1):
        event = choose_weights(
            weights,
            live,
            {},
            density=total / N,
            options=options(allocation=allocation, regrow="none"),
        )
        live = event.live
        assert sum(int(m.sum()) for m in live.values()) == total


def test_live_weights_of_zero_rank_above_dead_ones():
    # A returned weight may stay 0 where no gradient reaches it; it is live all the same.
    weights = {"a": torch.zeros(1, 4), "h": torch.zeros(1, 4)}
    live = {"a": torch.tensor([[1, 1, 0, 0]]).bool(), "h": torch.tensor([[0, 0, 0, 1]]).bool()}
    event = choose_weights(
        weights,
        live,
        {"a": torch.zeros(1, 1)},
        density=3 / 8,
        options=options(regrow_fraction=0.0),
    )
    assert torch.equal(event.kept["a"], live["a"])
    assert torch.equal(event.kept["h"], live["h"])


def test_global_pools_set_classifier_and_limited_layers_apart():
    saliency = {n: w.abs() for n, w in tensors(1).items()}
    live = {n: torch.ones(s, dtype=torch.bool) for n, s in SHAPES.items()}

    def pools(growing, **changes):
        return make_pools(saliency, live, 0.3, options(**changes), growing=growing)

    shared, head = pools(FEEDING)
    top = torch.cat([r.flatten() for r in saliency.values()]).sort(descending=True).values
    count = int((saliency["head"] >= top[round(0.3 * N) - 1]).sum())
    assert (shared.layers, head.layers) == (FEEDING, ("head",))
    assert (head.keep, head.grow) == (count, 0)
    rest = round(0.3 * N) - count
    assert (shared.keep + shared.grow, shared.grow) == (rest, floor_share(0.2, rest))

    apart = pools(FEEDING, limits={"conv": (0.6, 1.0)})
    assert [pool.layers for pool in apart] == [("hidden",), ("conv",), ("head",)]
    assert apart[1].keep + apart[1].grow == 44
    assert apart[1].grow == floor_share(0.2, 44)
    uniform = pools(FEEDING, allocation="uniform")
    assert [pool.layers for pool in uniform] == [("conv",), ("hidden",), ("head",)]
    assert [pool.keep + pool.grow for pool in uniform] == [22, 29, 5]
    assert all(pool.grow == 0 for pool in pools((), regrow="none"))


@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_a_share_of_the_weights_live_before_an_event_is_regrown(fraction):
    # `before`: all but floor(r x live) of a layer's live weights are kept; regrowth fills up.
    live = {n: torch.ones(s, dtype=torch.bool) for n, s in SHAPES.items()}
    weights = tensors(0)
    made = options(allocation="uniform", regrow_fraction=fraction, fraction_of="before")
    chosen = choose_weights(weights, live, scores_of_channels(0), density=0.9, options=made)
    for name in FEEDING:
        size = math.prod(SHAPES[name])
        stay, count = size - floor_share(fraction, size), int(chosen.live[name].sum())
        assert int(chosen.kept[name].sum()) == stay
        assert int(chosen.regrown[name].sum()) == count - stay > 0


def test_a_layer_without_a_saliency_keeps_the_share_that_magnitudes_give_it():
    weights, live = tensors(0), {n: torch.ones(s, dtype=torch.bool) for n, s in SHAPES.items()}
    saliency = {n: weights[n].square() * (k + 1) for k, n in enumerate(FEEDING)}
    made = options(saliency="crisis", regrow="none")
    plain = choose_weights(weights, live, {}, density=0.3, options=made)
    event = choose_weights(weights, live, {}, density=0.3, options=made, saliency=saliency)
    assert torch.equal(event.live["head"], plain.live["head"])
    assert sum(int(m.sum()) for m in event.live.values()) == round(0.3 * N)
    # Of the other two layers those of the highest scores, over both.
    count = round(0.3 * N) - int(event.live["head"].sum())
    flat = torch.cat([score.flatten() for score in saliency.values()])
    threshold = flat.sort(descending=True).values[count - 1]
    for name, score in saliency.items():
        assert torch.equal(event.live[name], score >= threshold)


def test_saliencies_of_any_sign_rank_dead_weights_last():
    # GraSP's saliency may be negative; a dead weight is not kept for that.
    weights = {"a": torch.tensor([[3.0, -2.0, 1.0, 0.0]])}
    live = {"a": torch.tensor([[True, True, True, False]])}
    saliency = {"a": torch.tensor([[-5.0, -9.0, -7.0, 0.0]])}
    made = options(sparsity=0.5, regrow="none")
    event = choose_weights(weights, live, {}, density=0.5, options=made, saliency=saliency)
    assert event.live["a"].tolist() == [[True, False, True, False]]
    assert saliency["a"].tolist() == [[-5.0, -9.0, -7.0, 0.0]]  # what was given stays


def test_weights_that_are_not_numbers_are_refused():
    weights = tensors(0)
    weights["conv"][0, 0, 0, 0] = torch.nan
    live = {n: torch.ones(s, dtype=torch.bool) for n, s in SHAPES.items()}
    with pytest.raises(RunError, match="not a number"):
        choose_weights(
            weights,
            live,
            scores_of_channels(0),
            density=0.5,
            options=options(),
        )


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"limits": {"cnv*": (0.1, 1)}}, ConfigError, r"'cnv\*' matches none of: conv, hidden"),
        ({"limits": {"conv": (0.9, 0.2)}}, ConfigError, "low <= high"),
        ({"limits": {"*": (0.2, 1.0)}}, BudgetError, "widen the limits"),
        ({"limits": {"*": (0.0, 0.05)}}, BudgetError, "widen the limits"),
        ({"sparsity": 0.999}, BudgetError, "no weight would be left: 186.*lower the sparsity"),
        (
            {"sparsity": 0.98, "allocation": "uniform"},
            BudgetError,
            "no weight in: head;.*limits={'head'",
        ),
    ],
)
def test_impossible_densities_are_refused_before_training(changes, error, message):
    with pytest.raises(error, match=message):
        check_target(tensors(0), options(**changes))


def test_possible_densities_pass():
    check_target(tensors(0), options())
    check_target(tensors(0), options(limits={"conv": (0.2, 0.95)}))
    check_target(tensors(0), options(allocation="erk"))


@pytest.mark.parametrize("regrow", ["criticality", "none"])
@pytest.mark.parametrize("limit", [0.0, 0.02, 0.05, 0.5])
def test_a_highest_density_is_reached_at_the_last_event(limit, regrow):
    # 90 % of all weights go, and more than that of the limited layer: it shrinks ahead.
    live = {n: torch.ones(s, dtype=torch.bool) for n, s in SHAPES.items()}
    weights, final = tensors(0), 1 - 0.9
    weights["hidden"] *= 10
    for k in range(1, 31):
        event = choose_weights(
            weights,
            live,
            scores_of_channels(0) if regrow == "criticality" else {},
            density=density_at(k, 30, final),
            options=options(regrow=regrow, limits={"hidden": (0.0, limit)}),
        )
        live = event.live
    assert int(live["hidden"].sum()) == min(math.floor(limit * 96), 19)
    assert sum(int(m.sum()) for m in live.values()) == round(final * N)


def test_a_layer_too_small_for_its_limits_keeps_what_the_lower_one_says():
    weights = {"body": torch.arange(1.0, 28.0).view(3, 9), "head": torch.full((1, 1), 0.5)}
    live = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}
    limited = options(sparsity=0.5, regrow="none", limits={"head": (0.25, 0.5)})
    for k in (1, 2):
        chosen = choose_weights(weights, live, {}, density=density_at(k, 2, 0.5), options=limited)
        live = chosen.live
        assert int(live["head"].sum()) == 1
    assert int(live["body"].sum()) == 13
