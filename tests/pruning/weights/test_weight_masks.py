"""Masks of single weights: what they are a share of, and the inputs of an event."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from spikeprune import Pruner
from spikeprune.errors import BudgetError, ConfigError
from spikeprune.measuring.filtered_inputs import FilteredInputs
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.observing.potential_sums import ChannelStats, Moments
from spikeprune.pruning.weights.weight_masks import WeightMasks
from spikeprune.science.cost import conv_fan_out
from spikeprune.science.saliency import lamp

LAYERS = ("stem", "inner", "second", "head")
NEURONS = {"spike1": 4, "spike2": 6, "spike3": 4}


def stats(seed=0):
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, channels in NEURONS.items():
        score, rate = torch.rand(2, channels, generator=generator)
        moments = Moments(mean=-rate, variance=rate + 0.1, size=rate)
        found[name] = ChannelStats(score, rate, samples=4, moments=moments)
    return found


def weight_of(model, name):
    return model.get_submodule(name).weight.detach()


def test_masks_start_whole_and_are_named_by_parameter(masked):
    model, weights = masked(WeightMasks)
    assert weights.groups is None
    mask = weights.parameter_mask()
    assert list(mask) == [f"{name}.weight" for name in LAYERS]
    assert all(mask[n].shape == model.get_parameter(n).shape for n in mask)
    assert mask.live == mask.total
    weights.check()


def test_density_is_of_the_prunable_weights_and_by_macs_of_the_whole_net(masked, run_event):
    model, weights = masked(WeightMasks, exclude=("head",))
    run_event(weights)
    total = {n: weight_of(model, n).numel() for n in LAYERS[:3]}
    live = {n: int(m.sum()) for n, m in weights.live.items()}
    assert weights.density() == sum(live.values()) / sum(total.values())
    macs = {n: 16 * count for n, count in live.items()} | {"head": 3 * 64}
    assert weights.live_macs() == pytest.approx(macs)


def test_without_regrowth_the_largest_live_weights_stay(masked, run_event):
    model, weights = masked(WeightMasks)
    for density in (0.5, 0.2):
        before = {n: m.clone() for n, m in weights.live.items()}
        selection = run_event(weights, density)
        sizes = torch.cat([(weight_of(model, n).abs() * before[n]).flatten() for n in LAYERS])
        smallest = sizes.sort(descending=True).values[round(density * len(sizes)) - 1]
        for name in LAYERS:
            assert torch.equal(weights.live[name], weight_of(model, name).abs() >= smallest)
            assert not selection.regrown[name].any()
        assert selection.budget is None


def test_a_regrown_weight_starts_anew(masked, run_event):
    _, weights = masked(WeightMasks, regrow="random", regrow_fraction=0.3)
    selection = run_event(weights)
    unchanged, mask = weights.unchanged(selection), weights.parameter_mask()
    for name, regrown in selection.regrown.items():
        assert torch.equal(unchanged[f"{name}.weight"], mask[f"{name}.weight"] & ~regrown)
    assert not selection.regrown["head"].any()  # no neuron behind it
    assert unchanged.live < mask.live
    _, weights = masked(WeightMasks, regrow="random", regrow_layers="all")
    assert run_event(weights).regrown["head"].any()


def test_the_most_critical_channel_is_regrown_first(masked, run_event):
    _, weights = masked(WeightMasks, regrow="criticality", regrow_fraction=0.1)
    seen = stats()
    seen["spike2"].score[3] = 10.0  # of `inner`: 36 of its weights
    selection = run_event(weights, stats=seen)
    assert weights.live["inner"][3].all()
    assert selection.regrown["inner"][3].sum() == (~selection.kept["inner"][3]).sum() > 0


def test_the_last_live_magnitude_of_every_weight_is_kept_where_it_is_needed(masked, run_event):
    assert masked(WeightMasks, regrow="criticality")[1].last_magnitude == {}
    model, weights = masked(WeightMasks, regrow="criticality-magnitude")
    first = {n: weight_of(model, n).abs().clone() for n in LAYERS}
    assert all(torch.equal(weights.last_magnitude[n], first[n]) for n in LAYERS)
    run_event(weights, stats=stats())
    live = {n: m.clone() for n, m in weights.live.items()}
    with torch.no_grad():
        for name in LAYERS:
            model.get_submodule(name).weight.mul_(live[name]).mul_(3)
    run_event(weights, 0.4, stats=stats())
    for name in LAYERS:
        expected = torch.where(live[name], 3 * first[name], first[name])
        torch.testing.assert_close(weights.last_magnitude[name], expected)


def test_a_criterion_by_moments_gets_the_gain_of_the_norm_behind(masked, run_event):
    model, weights = masked(WeightMasks, saliency="crisis")
    with torch.no_grad():
        model.norm2.weight.zero_()[4] = 1.0  # all channels of `inner` but one have no gain
    run_event(weights, stats=stats())
    rows = weights.live["inner"].flatten(1).any(1)
    assert rows.tolist() == [False, False, False, False, True, False]


def test_a_budget_of_synops_follows_the_operands(masked, run_event):
    model, weights = masked(WeightMasks, budget="synops")
    operands = {n: torch.rand(weight_of(model, n).shape[1:]).double() for n in LAYERS}
    selection = run_event(weights, operands=operands)
    use = selection.budget
    costs = {n: (operands[n] * conv_fan_out(m, 1)).sum() for n, m in weights.live.items()}
    total = sum(float(operands[n].sum()) * len(weight_of(model, n)) for n in LAYERS)
    assert use.unit == "synops"
    assert use.cost == pytest.approx(float(sum(costs.values())))
    assert use.total == pytest.approx(total)
    assert use.cost <= use.allowed == pytest.approx(0.5 * total)
    dense = dict.fromkeys(LAYERS, total)
    _, relative = masked(WeightMasks, budget="synops", dense_synops=dense)
    relative.check()
    assert run_event(relative, operands=operands).budget.total == pytest.approx(4 * total)


@pytest.mark.parametrize("saliency", ["magnitude", "lamp"])
def test_a_ranking_for_each_operation_keeps_the_best_by_score_over_cost(
    masked, run_event, saliency
):
    model, weights = masked(WeightMasks, budget="synops", allocation="budget", saliency=saliency)
    operands = {n: 40 * torch.rand(weight_of(model, n)[0].shape).double() for n in LAYERS}
    scores = {n: weight_of(model, n).detach().abs() for n in LAYERS}
    if saliency == "lamp":
        scores = {n: lamp(s, torch.ones_like(s, dtype=torch.bool)) for n, s in scores.items()}
    run_event(weights, 0.3, operands=operands, stats=stats())
    worth = {n: score / operands[n].clamp_min(1 / 8) for n, score in scores.items()}
    kept = torch.cat([worth[n][weights.live[n]] for n in LAYERS])
    gone = torch.cat([worth[n][~weights.live[n]] for n in LAYERS])
    assert kept.min() >= gone.max() * (1 - 1e-6)
    spent = sum(float((operands[n] * weights.live[n]).sum()) for n in LAYERS)
    everything = sum(float(operands[n].sum()) * len(weight_of(model, n)) for n in LAYERS)
    assert spent <= 0.3 * everything < spent + max(float(o.max()) for o in operands.values())


def costs_of(model, operands, multiplying=()):
    """Return SynOps, energy in nJ and count of every weight, by layer."""
    shapes = {n: weight_of(model, n).shape for n in LAYERS}
    synops = {n: operands[n].expand(shape) for n, shape in shapes.items()}
    nj = {n: (4.6 if n in multiplying else 0.9) / 1000 for n in LAYERS}
    return {
        "synops": synops,
        "energy": {n: nj[n] * cost for n, cost in synops.items()},
        "weights": {n: torch.ones(shape) for n, shape in shapes.items()},
    }


@pytest.mark.parametrize(
    "units", [("synops", "weights"), ("weights", "energy"), ("energy", "synops")]
)
def test_two_budgets_are_both_spent_where_both_bind(masked, run_event, units):
    first, second = units
    shares = {"weights": 0.35, "synops": 0.2, "energy": 0.2}
    model, weights = masked(
        WeightMasks,
        sparsity=1 - shares[first],
        budget=first,
        within={second: shares[second]},
        allocation="budget",
        floor=0.0,
    )
    operands = {n: 40 * torch.rand(weight_of(model, n)[0].shape).double() for n in LAYERS}
    seen = {"operands": operands, "multiplying": frozenset({"stem"}), "stats": stats()}
    use = run_event(weights, shares[first], within={second: shares[second]}, **seen).budget
    costs, spent = costs_of(model, operands, ("stem",)), {}
    for one in (use, *use.within):
        everything = sum(float(cost.sum()) for cost in costs[one.unit].values())
        spent[one.unit] = sum(float(costs[one.unit][n][m].sum()) for n, m in weights.live.items())
        assert one.cost == pytest.approx(spent[one.unit])
        assert one.total == pytest.approx(everything)
        assert one.cost <= one.allowed == pytest.approx(shares[one.unit] * everything)
        assert one.allowed - one.cost < 0.02 * one.allowed
    assert {one.unit for one in (use, *use.within)} == set(units)


def test_under_a_budget_of_operations_every_layer_keeps_its_floor(masked, run_event):
    operands = None
    for floor, alive in ((0.0, False), (None, True), (0.5, True)):
        model, weights = masked(WeightMasks, budget="synops", floor=floor)
        with torch.no_grad():
            model.inner.weight.mul_(1e-3)  # one ranking would leave this layer without a weight
        if operands is None:
            operands = {n: torch.rand(weight_of(model, n).shape[1:]).double() for n in LAYERS}
        use = run_event(weights, 0.1, operands=operands, stats=stats()).budget
        assert use.cost <= use.allowed
        assert bool(weights.live["inner"].any()) is alive
        share = (0.2 if floor is None else floor) * 0.1
        for mask in weights.live.values():
            assert int(mask.sum()) >= share * mask.numel()


def test_a_budget_that_the_floors_exceed_is_refused_with_the_largest_sparsity(masked, run_event):
    model, weights = masked(WeightMasks, budget="synops", floor=1.0)
    operands = {n: torch.ones(weight_of(model, n).shape[1:]).double() for n in LAYERS}
    with pytest.raises(BudgetError, match=r"the \d+ weights of the floors cost .*allows is 0\.99"):
        run_event(weights, 1e-3, operands=operands, stats=stats())
    _, counted = masked(WeightMasks, sparsity=0.995, floor=1.0)
    with pytest.raises(BudgetError, match="the floors keep 6 weights, more than the 3 of"):
        counted.check()


def test_random_saliency_is_drawn_from_the_generator(masked, run_event):
    one, two = (masked(WeightMasks, saliency="random")[1] for _ in range(2))
    selections = [run_event(weights) for weights in (one, two)]
    assert one.density() == pytest.approx(0.5, abs=1e-3)
    for name in LAYERS:
        assert torch.equal(selections[0].kept[name], selections[1].kept[name])
    assert any(
        not torch.equal(one.live[n], run_event(masked(WeightMasks)[1]).kept[n]) for n in LAYERS
    )


def test_what_cannot_be_done_is_refused_in_advance(masked):
    _, limited = masked(WeightMasks, sparsity=0.9, limits={"*": (0.5, 1.0)})
    with pytest.raises(BudgetError, match="widen the limits"):
        limited.check()
    _, whole = masked(WeightMasks, dense_synops=dict.fromkeys(LAYERS, 1.0))
    with pytest.raises(ConfigError, match="of synops or energy, got one of weights"):
        whole.check()
    with pytest.raises(ConfigError, match=r"'stm' matches none of the layers: stem, inner"):
        masked(WeightMasks, include=("stm",))


def test_scores_go_by_the_options_of_criticality(masked, run_event):
    made = [
        masked(
            WeightMasks,
            regrow="criticality",
            regrow_fraction=0.3,
            criticality=CriticalityOptions(weight=weight),
        )[1]
        for weight in ("post", "post*pre")
    ]
    plain, by_rate = (run_event(weights, stats=stats()).regrown for weights in made)
    assert any(not torch.equal(plain[n], by_rate[n]) for n in plain)


# -- compensation ------------------------------------------------------------------------------


class Grouped(nn.Sequential):
    """A strided convolution in groups, behind one that reads the input."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(
            layer.Conv2d(3, 8, 3, padding=1), layer.BatchNorm2d(8), neuron.LIFNode(v_threshold=0.3),
            layer.Conv2d(8, 6, 3, stride=2, groups=2), layer.BatchNorm2d(6), neuron.IFNode(),
            layer.Flatten(), layer.Linear(54, 3),
        )  # fmt: skip
        functional.set_step_mode(self, "m")


def pruned_once(method, sparsity, **options):
    """Prune a net whose weights do not train; return it, its weights before, H and the pruner."""
    model = Grouped().train()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    x = torch.rand(4, 24, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    pruner = Pruner(
        model, optimizer, x[0, :1], time_steps=4, total_steps=1, sparsity=sparsity, method=method,
        schedule="one-shot", layout="sequence", **options,
    )  # fmt: skip
    how = {"time_steps": 4, "train": True, "products": True}
    with FilteredInputs(model, pruner.wiring, pruner.wiring.layers, **how) as moments:
        model(x).mean(0).sum().backward()
    optimizer.step()
    pruner.step()
    return model, before, moments.compute(), pruner


def membrane_error(before, after, moment):
    rows = (before - after).double().reshape(len(moment), -1, moment.shape[-1])
    return float(torch.einsum("god,gde,goe->", rows, moment, rows))


@pytest.mark.parametrize("sparsity", [0.3, 0.7, 0.9])
def test_weights_that_stay_make_up_for_those_that_go(sparsity):
    uniform = {"allocation": "uniform"}
    model, before, moments, pruner = pruned_once("sbc", sparsity, **uniform)
    plain, *_ = pruned_once("magnitude", sparsity, **uniform)
    total = pruner.mask.total
    assert pruner.mask.live == round((1 - sparsity) * total)
    for name, moment in moments.items():
        weight, live = weight_of(model, name), pruner.mask[f"{name}.weight"]
        assert not weight[~live].any()
        was = before[f"{name}.weight"]
        found = membrane_error(was, weight, moment)
        assert found < 0.9 * membrane_error(was, was * live, moment)
        assert found < 0.9 * membrane_error(was, weight_of(plain, name), moment)
    for one, other in zip(model.named_buffers(), plain.named_buffers(), strict=True):
        assert torch.equal(one[1], other[1]), one[0]  # BatchNorms stay as they are
    for name, parameter in model.named_parameters():
        if f"{name.split('.')[0]}" not in moments or name.endswith("bias"):
            assert torch.equal(parameter, before[name]), name


def test_layers_that_lose_nothing_stay_bit_for_bit():
    model, before, _, pruner = pruned_once("sbc", 1e-4)
    assert pruner.mask.live == pruner.mask.total
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])
    model, before, _, _ = pruned_once("sbc", 0.5, exclude=("7",))
    assert torch.equal(weight_of(model, "7"), before["7.weight"])
