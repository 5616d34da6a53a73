"""The channel event against slow references: what it costs, what it keeps, what it brings back."""

import copy
import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import layer, neuron
from torch import nn

from spikeprune import zoo
from spikeprune.cutting.cut_plan import apply_plan, plan_for
from spikeprune.errors import BudgetError, ModelError
from spikeprune.observing.potential_sums import ChannelStats
from spikeprune.pruning.channels.channel_cost import cost_model
from spikeprune.pruning.channels.choose_channels import choose_channels
from spikeprune.pruning.criteria.of_channels import (
    CHANNEL_REGROWTH,
    CHANNEL_SALIENCY,
    ChannelScoreInputs,
    channel_scores,
)
from spikeprune.pruning.options import ChannelOptions, PruneOptions
from spikeprune.science.cost import conv_fan_out
from spikeprune.wiring.channel_masks import channel_masks
from spikeprune.wiring.tied_channels import channel_groups
from spikeprune.wiring.trace import trace

T = 2


class Residual(nn.Module):
    """Tied channels (first, second), a plain group (inner), a norm behind a flatten, biases."""

    def __init__(self):
        super().__init__()
        self.first, self.norm1, self.spike1 = self.part(2, 6)
        self.inner, self.norm2, self.spike2 = self.part(6, 5)
        self.second, self.norm3, self.spike3 = self.part(5, 6)
        self.flatten, self.norm4 = layer.Flatten(), layer.BatchNorm1d(6 * 4)
        self.spike4, self.head = neuron.IFNode(), layer.Linear(6 * 4, 3)

    @staticmethod
    def part(inputs, outputs):
        conv = layer.Conv2d(inputs, outputs, 3, padding=1, bias=True)
        return conv, layer.BatchNorm2d(outputs), neuron.ParametricLIFNode()

    def forward(self, x):
        x = self.spike1(self.norm1(self.first(x)))
        y = self.spike2(self.norm2(self.inner(x)))
        x = x + self.spike3(self.norm3(self.second(y)))
        return self.head(self.spike4(self.norm4(self.flatten(x))))


class Depthwise(nn.Sequential):
    """A depthwise convolution between two others: its channels are those of the first."""

    def __init__(self):
        super().__init__()
        self.first, self.norm1, self.spike1 = self.part(2, 6)
        self.depth, self.norm2, self.spike2 = self.part(6, 6, groups=6)
        self.last, self.norm3, self.spike3 = self.part(6, 5)
        self.flatten, self.head = layer.Flatten(), layer.Linear(5 * 16, 3)

    @staticmethod
    def part(inputs, outputs, groups=1):
        conv = layer.Conv2d(inputs, outputs, 3, padding=1, bias=False, groups=groups)
        return conv, layer.BatchNorm2d(outputs), neuron.IFNode()


EXAMPLE = {
    "residual": torch.zeros(2, 2, 2, 2),
    "vgg-small": torch.zeros(2, 2, 8, 8),
    "depthwise": torch.zeros(2, 2, 4, 4),
}
_BUILT = {"residual": Residual, "depthwise": Depthwise}


def build(name):
    torch.manual_seed(0)
    if name in _BUILT:
        return _BUILT[name]()
    return zoo.build(
        *("vgg-small",),
        classes=3,
        in_channels=2,
        image_size=8,
        time_steps=T,
        widths=(4, 6, 8),
        strides=(2, 1, 2),
        head="flatten",
        hidden=(7,),
        neuron="plif",
    )


@functools.cache
def parts(name):
    model = build(name)
    wiring = trace(model, EXAMPLE[name])
    return model, channel_groups(model, EXAMPLE[name], wiring), wiring


def draw(name, seed, *, levels=None):
    """One number a channel, by group; with `levels`, of few values."""
    generator = torch.Generator().manual_seed(seed)
    _, groups, _ = parts(name)
    if levels is None:
        return {g.name: torch.rand(g.channels, generator=generator) for g in groups}
    return {
        g.name: torch.randint(levels, (g.channels,), generator=generator).float() for g in groups
    }


def some_live(name, seed):
    live = {n: v < 0.6 for n, v in draw(name, seed).items()}
    for mask in live.values():
        mask[0] = True
    return live


def cost(name, budget, **how):
    model, groups, wiring = parts(name)
    return cost_model(model, groups, wiring, budget=budget, **how)


def macs_by_hooks(model, example):
    found = []

    def count(module, _, output):
        found.append(output[0].numel() * module.weight[0].numel())

    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    handles = [m.register_forward_hook(count) for m in layers]
    for module in model.modules():
        if hasattr(module, "step_mode"):
            module.step_mode = "s"
    with torch.no_grad():
        model.eval()(example)
    for handle in handles:
        handle.remove()
    return sum(found)


@pytest.mark.parametrize("name", EXAMPLE)
@pytest.mark.parametrize("seed", range(4))
def test_cost_is_the_real_count_on_the_cut_net(name, seed):
    model, groups, wiring = parts(name)
    live = some_live(name, seed)
    smaller = apply_plan(copy.deepcopy(model), plan_for(groups, live))
    layers = [smaller.get_submodule(n) for n in wiring.layers]
    counts = {
        "parameters": sum(p.numel() for p in smaller.parameters()),
        "weights": sum(m.weight.numel() for m in layers),
        "channels": sum(len(smaller.get_submodule(n).weight) for g in groups for n in g.producers),
        "macs": macs_by_hooks(smaller, EXAMPLE[name]),
    }
    for budget, count in counts.items():
        assert cost(name, budget)(live) == pytest.approx(count, rel=1e-12), budget


def read_by(name, generator=None):
    """What the layers of a net may have read, by input channel and place in the kernel."""
    model, _, wiring = parts(name)
    found = {}
    for each in wiring.layers:
        module = model.get_submodule(each)
        weight, groups = module.weight, getattr(module, "groups", 1)
        shape = (weight.shape[1] * groups, *weight.shape[2:])
        found[each] = torch.rand(shape, dtype=torch.float64, generator=generator)
    return found


@pytest.mark.parametrize("name", EXAMPLE)
@pytest.mark.parametrize("seed", range(4))
def test_synops_are_those_of_the_cut_net_that_reads_the_same(name, seed):
    model, groups, wiring = parts(name)
    live = some_live(name, seed)
    reads = read_by(name, torch.Generator().manual_seed(seed))
    whole = {n: float((r * fan_out(model.get_submodule(n))).sum()) for n, r in reads.items()}
    alive = channel_masks(model, groups, live)
    masked = copy.deepcopy(model)
    for n in wiring.layers:
        masked.get_submodule(n).weight.data.fill_(1.0).mul_(alive.get(f"{n}.weight", 1))
        dead = ~inputs_alive(groups, live, n, len(reads[n]))
        if masked.get_submodule(n).weight.shape[1] == len(dead):
            masked.get_submodule(n).weight.data[:, dead] = 0
    left = {n: float((r * fan_out(masked.get_submodule(n))).sum()) for n, r in reads.items()}
    found = cost(name, "synops", reads=reads)
    assert found({}) == pytest.approx(sum(whole.values()), rel=1e-9)
    assert found(live) == pytest.approx(sum(left.values()), rel=1e-9)
    dense = {n: 100.0 * (k + 1) for k, n in enumerate(reads)}
    expected = sum(dense[n] * left[n] / whole[n] for n in reads)
    assert cost(name, "synops", reads=reads, dense_synops=dense)(live) == pytest.approx(expected)


def fan_out(module):
    return conv_fan_out(module.weight, getattr(module, "groups", 1))


def inputs_alive(groups, live, layer, inputs):
    alive = torch.ones(inputs, dtype=torch.bool)
    for group in groups:
        for member in group.of("in"):
            if member.module == layer:
                alive[member.index[~live[group.name]].flatten()] = False
    return alive


def test_without_reads_every_operand_counts():
    _, _, wiring = parts("residual")
    assert cost("residual", "synops")({}) == sum(row.macs for row in wiring.layers.values())


def test_a_layer_that_reads_nothing_costs_nothing():
    reads = {n: torch.zeros_like(r) for n, r in read_by("residual").items()}
    assert cost("residual", "synops", reads=reads)({}) == 0


# -- ranking -----------------------------------------------------------------------------------


def scores_by(table, model, groups, kind, **given):
    plain = {"reducer": "mean", "generator": torch.Generator()}
    return channel_scores(groups, kind, table[kind], ChannelScoreInputs(model, **plain | given))


ranked = functools.partial(scores_by, CHANNEL_SALIENCY)
grown = functools.partial(scores_by, CHANNEL_REGROWTH)


def test_ranking_is_the_scale_of_all_norms_reduced():
    model, groups, _ = parts("residual")
    model = copy.deepcopy(model)
    for index, norm in enumerate((model.norm1, model.norm2, model.norm3, model.norm4)):
        norm.weight.data = torch.linspace(-1, 2, norm.num_features).roll(index)
    folded = model.norm4.weight.detach().abs().reshape(6, 4)
    tied = [model.norm1.weight.detach().abs(), model.norm3.weight.detach().abs()]
    generator = torch.Generator().manual_seed(3)
    means = ranked(model, groups, "batchnorm-scale", reducer="mean", generator=generator)
    expected = torch.stack([*tied, folded.mean(1)]).mean(0)
    torch.testing.assert_close(means["first"], expected)
    assert torch.equal(means["inner"], model.norm2.weight.detach().abs())
    highs = ranked(model, groups, "batchnorm-scale", reducer="max", generator=generator)
    assert torch.equal(highs["first"], torch.stack([*tied, folded.amax(1)]).amax(0))
    drawn = ranked(model, groups, "random", reducer="mean", generator=generator)
    assert drawn["first"].unique().numel() == 6


def test_scores_of_tied_neurons_are_reduced_and_ranked_in_the_layer():
    model, groups, wiring = parts("residual")
    stats = {
        n: ChannelStats(torch.arange(c, dtype=torch.float32).roll(2), torch.ones(c), 1)
        for n, c in wiring.neurons.items()
    }
    folded = stats["spike4"].score.reshape(6, 4)
    scores = grown(model, groups, "criticality", stats=stats)
    expected = torch.stack([stats["spike1"].score, stats["spike3"].score, folded.mean(1)]).mean(0)
    torch.testing.assert_close(scores["first"], expected)
    highest = grown(model, groups, "criticality", stats=stats, reducer="max")["first"]
    assert torch.equal(highest, torch.maximum(stats["spike1"].score, folded.amax(1)))
    by_rank = grown(model, groups, "criticality", stats=stats, normalise="layer")
    torch.testing.assert_close(by_rank["inner"], torch.tensor([0.8, 1.0, 0.2, 0.4, 0.6]))


def test_a_group_without_norm_cannot_be_ranked_by_scale():
    model = nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1),
        *(neuron.IFNode(), layer.Flatten(), layer.Linear(16, 3)),
    )
    example = torch.zeros(1, 2, 2, 2)
    wiring = trace(model, example)
    groups = channel_groups(model, example, wiring)
    with pytest.raises(ModelError, match="'0' has no BatchNorm; add one, or exclude"):
        ranked(model, groups, "batchnorm-scale")


# -- the event ---------------------------------------------------------------------------------


def options(sparsity, *, fraction=0.05, **channels):
    return PruneOptions.of(
        sparsity=sparsity,
        granularity="channel",
        regrow_fraction=fraction,
        channels=ChannelOptions(**channels),
    )


def reference(ranking, growth, fraction, model_cost, budget):
    """Add channels one by one, floors of 1, until the next one costs too much."""
    names = list(ranking)
    every = [(n, i) for n in names for i in range(len(ranking[n]))]

    def order(score):
        return sorted(every, key=lambda key: (-float(score[key[0]][key[1]]), *position(key)))

    def position(key):
        return names.index(key[0]), key[1]

    def chosen(count):
        grow = int(fraction * count + 1e-9) if growth else 0
        kept = set(order(ranking)[: count - grow])
        others = [key for key in every if key not in kept]
        if growth:
            others.sort(
                key=lambda key: (
                    -float(growth[key[0]][key[1]]),
                    -float(ranking[key[0]][key[1]]),
                    *position(key),
                )
            )
        regrown = set(others[:grow])
        for name in names:
            if not any(key[0] == name for key in kept | regrown):
                kept.add(max(every, key=lambda k: (k[0] == name, float(ranking[k[0]][k[1]]), k[1])))
        return kept, regrown

    def spent(count):
        live = {n: torch.zeros(len(ranking[n]), dtype=torch.bool) for n in names}
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
    name=st.sampled_from(list(EXAMPLE)),
    seed=st.integers(0, 10**6),
    budget=st.sampled_from(["channels", "parameters", "macs", "synops"]),
    sparsity=st.floats(0.05, 0.7),
    fraction=st.sampled_from([0.0, 0.05, 0.2, 0.5]),
    regrow=st.booleans(),
)
def test_an_event_equals_the_slow_reference(name, seed, budget, sparsity, fraction, regrow):
    ranking = draw(name, seed)
    growth = draw(name, seed + 1, levels=3) if regrow else None
    model_cost = cost(name, budget)
    chosen = choose_channels(
        ranking, growth, model_cost, options(sparsity, fraction=fraction, budget=budget)
    )
    total = model_cost({})
    kept, regrown, spent, following = reference(
        ranking, growth, fraction, model_cost, (1 - sparsity) * total
    )
    assert (positions(chosen.kept), positions(chosen.regrown)) == (kept, regrown)
    assert positions(chosen.live) == kept | regrown
    assert chosen.total == pytest.approx(total)
    assert chosen.budget == pytest.approx((1 - sparsity) * total)
    assert chosen.cost == pytest.approx(spent)
    assert chosen.cost <= chosen.budget
    # The gap is smaller than what the next channel would have cost.
    assert chosen.budget - chosen.cost <= following - spent or chosen.cost == total


def test_the_event_worked_by_hand():
    # 18 untied channels; half of them live: C = 9, G = floor(0.25 x 9) = 2.
    _, groups, _ = parts("vgg-small")
    assert [(g.name, g.channels) for g in groups] == [
        *(("stem.conv", 4), ("body.conv2", 6), ("body.conv3", 8), ("head.hidden1", 7)),
    ]
    ranking = {
        "stem.conv": torch.tensor([9.0, 1, 1, 1]),
        "body.conv2": torch.tensor([8.0, 7, 1, 1, 1, 1]),
        "body.conv3": torch.tensor([6.0, 5, 4, 1, 1, 1, 1, 1]),
        "head.hidden1": torch.tensor([3.0, 2, 1, 1, 1, 1, 1]),
    }
    growth = {n: torch.zeros_like(r) for n, r in ranking.items()}
    growth["stem.conv"][2] = growth["head.hidden1"][6] = 1.0
    growth["body.conv3"][1] = 2.0  # kept already
    chosen = choose_channels(
        *(ranking, growth, cost("vgg-small", "channels")), options(1 - 10 / 25, fraction=0.2)
    )
    assert positions(chosen.kept) == {
        *(("stem.conv", 0), ("body.conv2", 0), ("body.conv2", 1)),
        *(("body.conv3", i) for i in range(3)),
        *(("head.hidden1", i) for i in range(2)),
    }
    assert positions(chosen.regrown) == {("stem.conv", 2), ("head.hidden1", 6)}
    assert (chosen.cost, chosen.total, chosen.forced) == (10, 25, {})


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(list(EXAMPLE)),
    seed=st.integers(0, 10**6),
    floor=st.integers(1, 5),
    step=st.integers(1, 4),
    sparsity=st.floats(0.05, 0.5),
)
def test_floors_and_multiples_are_held(name, seed, floor, step, sparsity):
    ranking, growth = draw(name, seed), draw(name, seed + 1)
    made = options(sparsity, fraction=0.3, floor=floor, round_to=step)
    model_cost = cost(name, "channels")
    least = {n: min(len(r), -(-floor // step) * step) for n, r in ranking.items()}
    floors = {n: torch.arange(len(r)) < least[n] for n, r in ranking.items()}
    if model_cost(floors) > (1 - sparsity) * model_cost({}) * (1 + 1e-9):
        with pytest.raises(BudgetError, match="the floors alone exceed the budget"):
            choose_channels(ranking, growth, model_cost, made)
        return
    chosen = choose_channels(ranking, growth, model_cost, made)
    assert chosen.cost <= chosen.budget
    for group, live in chosen.live.items():
        count, size = int(live.sum()), len(live)
        assert count >= min(floor, size)
        assert count % step == 0 or count == size
        assert not (chosen.kept[group] & chosen.regrown[group]).any()
        assert 0 <= chosen.forced.get(group, 0) <= count


def test_forced_channels_are_the_best_of_their_layer_and_counted():
    ranking = {n: torch.rand(len(r)) for n, r in draw("residual", 0).items()}
    ranking["inner"] /= 1e3  # the ranking alone would cut all of them
    ranking["inner"][3] *= 10
    chosen = choose_channels(ranking, None, cost("residual", "channels"), options(0.4, floor=1))
    assert positions(chosen.live) >= {("inner", 3)}
    assert chosen.forced == {"inner": 1}


def test_floors_above_the_budget_are_refused():
    with pytest.raises(
        BudgetError, match=r"floors alone exceed the budget: 4 channel.*lower the sparsity \(0.9\)"
    ):
        choose_channels(
            draw("residual", 0), None, cost("residual", "channels"), options(0.9, floor=4)
        )
