"""Random layers, masks and budgets through all events of a schedule, without a net."""

import math
from dataclasses import dataclass
from fractions import Fraction

import pytest
import torch
from hypothesis import given, reject
from hypothesis import strategies as st
from tests.fuzz.amount import share
from tests.fuzz.invariants import count, within_limits
from tests.fuzz.nets import short
from tests.fuzz.runs import DIRECTIONS, OPTIMIZERS, WEIGHTS, allowed
from torch import nn

from spikeprune.errors import BudgetError
from spikeprune.pruning.channels.channel_cost import CostModel, _Term
from spikeprune.pruning.channels.choose_channels import choose_channels
from spikeprune.pruning.events.schedule import planned_events
from spikeprune.pruning.mask_keeper import MaskKeeper
from spikeprune.pruning.optimizer_state import reset_state
from spikeprune.pruning.option_types import ChannelOptions
from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.weights.choose_weights import check_target, choose_weights, most_live
from spikeprune.pruning.weights.fit_budgets import budget_of_share, fit_budgets
from spikeprune.science.allocation import SHARES
from spikeprune.science.masks import Mask, apply_
from spikeprune.science.select import top_k


@dataclass(frozen=True, repr=False)
class Layers:
    """Shapes of the weights, how many layers feed a neuron, and how many values they have."""

    shapes: tuple[tuple[int, ...], ...]
    feeding: int
    levels: int = 0  # 0: any value; else there are many ties
    seed: int = 0

    __repr__ = short

    def draw(self, number, shapes=None):
        """Return one tensor a layer, by the names that the nets of these tests have."""
        generator = torch.Generator().manual_seed(7919 * self.seed + number)
        names = ("blocks.0.conv", "blocks.1.conv", "hidden", "head")
        tensors = (torch.randn(shape, generator=generator) for shape in shapes or self.shapes)
        if self.levels:
            tensors = ((self.levels * tensor).round() for tensor in tensors)
        return dict(zip(names, tensors, strict=False))


SHAPES = st.one_of(
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3), st.just(3)),
    st.tuples(st.integers(1, 8), st.integers(1, 12)),
)
LAYERS = st.builds(
    Layers,
    shapes=st.lists(SHAPES, min_size=1, max_size=4).map(tuple),
    feeding=st.integers(0, 4),
    levels=st.sampled_from([0, 0, 1, 3]),
    seed=st.integers(0, 10**4),
)
PARTS = {name: WEIGHTS[name] for name in WEIGHTS.keys() - {"saliency", "criticality", "exclude"}}
OPTIONS = (
    st.fixed_dictionaries(
        PARTS
        | {"saliency": st.just("magnitude"), "allocation": st.sampled_from(["global", *SHARES])}
    )
    .map(allowed)
    .filter(lambda options: options is not None)
)


@pytest.mark.slow
@share(0.6)
@given(layers=LAYERS, options=OPTIONS, total=st.integers(2, 6))
def test_events_on_weights(layers, options, total):
    weights = layers.draw(0)
    if not all(any(within_limits(n, p) for n in weights) for p in options.limits):
        reject()
    if options.budget == "weights":
        try:
            check_target(weights, options)
        except BudgetError:
            reject()
    live = {n: torch.ones_like(w, dtype=torch.bool) for n, w in weights.items()}
    for step, planned in planned_events(options, total).items():
        weights = {n: w * live[n] for n, w in layers.draw(step).items()}
        before, selection = live, event(layers, planned, weights, live)
        live = selection.live
        for name, kept in selection.kept.items():
            regrown = selection.regrown[name]
            assert not (kept & regrown).any()
            assert not (kept & ~before[name]).any()
            assert name in growing(layers, planned) or not regrown.any()
        if selection.budget is None:
            size = sum(w.numel() for w in weights.values())
            assert count(live) == round(planned.density * size)
        else:
            assert selection.budget.cost <= selection.budget.allowed
    for name, mask in live.items():
        for pattern, (low, high) in options.limits.items():
            if within_limits(name, pattern):
                # Decimal fractions, as they were written.
                low, high = (Fraction(one).limit_denominator(10**9) for one in (low, high))
                least = math.ceil(low * mask.numel())
                most = max(least, math.floor(high * mask.numel()))
                assert least <= int(mask.sum()) <= most


def growing(layers, planned):
    """Return the layers that take part in regrowth."""
    names = [*layers.draw(0)]
    if planned.options.regrow == "none":
        return []
    return names if planned.options.regrow_layers == "all" else names[: layers.feeding]


def event(layers, planned, weights, live):
    """Run one event on scores of channels, under its budget."""
    channels = [(len(w), *[1] * (w.ndim - 1)) for w in weights.values()]
    scores = layers.draw(1000, channels)
    regrowth = {name: scores[name].abs() for name in growing(layers, planned)}

    def choose(density):
        return choose_weights(weights, live, regrowth, density=density, options=planned.options)

    if planned.options.budget == "weights":
        return choose(planned.density)
    operands = layers.draw(2000, [w.shape[1:] for w in weights.values()])
    costs = {n: (1 + o.abs().double()).unsqueeze(0) for n, o in operands.items()}
    size = sum(mask.numel() for mask in live.values())
    most = most_live(live, regrowth.keys(), planned.options)
    budget = budget_of_share("synops", costs, live, share=planned.density)
    try:
        return fit_budgets(lambda count: choose(count / size), [budget], least=1, most=most)
    except BudgetError:
        reject()


@pytest.mark.slow
@share(0.2)
@given(
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=4),
    prices=st.lists(st.integers(1, 5), min_size=4, max_size=4),
    sparsity=st.floats(0.05, 0.9),
    fraction=st.sampled_from([0.0, 0.1, 0.5]),
    floor=st.integers(1, 3),
    round_to=st.integers(1, 3),
    levels=st.sampled_from([0, 2]),
    seed=st.integers(0, 10**4),
)
def test_events_on_channels(sizes, prices, sparsity, fraction, floor, round_to, levels, seed):
    drawn = Layers(tuple((size,) for size in sizes), feeding=0, levels=levels, seed=seed)
    saliency, regrowth = drawn.draw(0), drawn.draw(1)
    ones = {name: torch.full((len(s),), 1 / len(s)).double() for name, s in saliency.items()}
    terms = [_Term(float(p), {n: ones[n]}, {}) for n, p in zip(saliency, prices, strict=False)]
    cost = CostModel("macs", tuple(terms))
    options = PruneOptions.of(
        sparsity=sparsity,
        granularity="channel",
        regrow_fraction=fraction,
        channels=ChannelOptions(floor=floor, round_to=round_to),
    )
    try:
        chosen = choose_channels(saliency, regrowth, [cost], options)
    except BudgetError:
        reject()
    live = chosen.live
    assert cost(live) == pytest.approx(chosen.budget.cost)
    assert chosen.budget.cost <= (1 - sparsity) * sum(prices[: len(sizes)]) * (1 + 1e-6)
    for name, mask in live.items():
        assert not (chosen.kept[name] & chosen.regrown[name]).any()
        number = int(mask.sum())
        assert number >= min(len(mask), -(-floor // round_to) * round_to)
        assert number == len(mask) or number % round_to == 0


@pytest.mark.slow
@share(0.16)
@given(
    layers=LAYERS,
    kind=st.sampled_from([*OPTIMIZERS]),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=2),
    clips=st.booleans(),
)
def test_no_optimizer_revives_a_dead_weight(layers, kind, shares, clips):
    parameters = {n: nn.Parameter(w) for n, w in layers.draw(0).items()}
    optimizer = OPTIMIZERS[kind](parameters.values())
    keeper = MaskKeeper(optimizer, parameters, dense=lambda: False)
    for number, part in enumerate(shares):
        mask = some(layers, part, number)
        with torch.no_grad():
            apply_(parameters, mask)
            reset_state(optimizer, parameters, mask)
        keeper.mask_with(mask, trusted=True)
        for step in range(2):
            optimizer.zero_grad()
            targets = layers.draw(10 * number + step + 1).values()
            pairs = zip(parameters.values(), targets, strict=True)
            sum(((p - t) ** 2).sum() for p, t in pairs).backward()
            if clips:
                nn.utils.clip_grad_norm_(parameters.values(), 0.5)
            optimizer.step()
            keeper.after_step()
            keeper.check()
            for name, parameter in parameters.items():
                assert not parameter.detach()[~mask[name]].any()
                for key, value in optimizer.state[parameter].items():
                    assert key not in DIRECTIONS or not value[~mask[name]].any()
    keeper.close()


def some(layers, part, number):
    """Return a mask of the best `part` of random scores."""
    scores = layers.draw(3000 + number)
    total = sum(score.numel() for score in scores.values())
    candidates = [torch.ones_like(score, dtype=torch.bool) for score in scores.values()]
    live = top_k([*scores.values()], round(part * total), candidates=candidates, tie=None)
    return Mask(dict(zip(scores, live, strict=True)))
