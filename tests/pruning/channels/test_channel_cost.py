"""The cost of a net by its live channels, against counts on the cut net."""

import copy

import pytest
import torch
from torch import nn

from spikeprune.science.cost import conv_fan_out
from spikeprune.wiring.channel_masks import channel_masks
from spikeprune.wiring.cut_plan import apply_plan, plan_for

NAMES = ["residual", "vgg-small", "depthwise"]


def some_live(net, seed):
    live = {n: v < 0.6 for n, v in net.draw(seed).items()}
    for mask in live.values():
        mask[0] = True
    return live


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


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_cost_is_the_real_count_on_the_cut_net(traced, name, seed):
    net = traced(name)
    live = some_live(net, seed)
    smaller = apply_plan(copy.deepcopy(net.model), plan_for(net.groups, live))
    layers = [smaller.get_submodule(n) for n in net.wiring.layers]
    counts = {
        "parameters": sum(p.numel() for p in smaller.parameters()),
        "weights": sum(m.weight.numel() for m in layers),
        "channels": sum(
            len(smaller.get_submodule(n).weight) for g in net.groups for n in g.producers
        ),
        "macs": macs_by_hooks(smaller, net.example),
    }
    for budget, count in counts.items():
        model_cost = net.cost(budget)
        assert model_cost.unit == budget
        assert model_cost(live) == pytest.approx(count, rel=1e-12), budget


def operands_of(net, generator=None):
    """What the layers of a net may have read, by input channel and place in the kernel."""
    found = {}
    for name in net.wiring.layers:
        module = net.model.get_submodule(name)
        weight, groups = module.weight, getattr(module, "groups", 1)
        shape = (weight.shape[1] * groups, *weight.shape[2:])
        found[name] = torch.rand(shape, dtype=torch.float64, generator=generator)
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_synops_are_those_of_the_cut_net_that_reads_the_same(traced, name, seed):
    net = traced(name)
    live = some_live(net, seed)
    operands = operands_of(net, torch.Generator().manual_seed(seed))
    whole = {n: synops(net.model.get_submodule(n), o) for n, o in operands.items()}
    alive = channel_masks(net.model, net.groups, live)
    masked = copy.deepcopy(net.model)
    for n in net.wiring.layers:
        masked.get_submodule(n).weight.data.fill_(1.0).mul_(alive.get(f"{n}.weight", 1))
        dead = ~inputs_alive(net.groups, live, n, len(operands[n]))
        if masked.get_submodule(n).weight.shape[1] == len(dead):
            masked.get_submodule(n).weight.data[:, dead] = 0
    left = {n: synops(masked.get_submodule(n), o) for n, o in operands.items()}
    found = net.cost("synops", operands=operands)
    assert found({}) == pytest.approx(sum(whole.values()), rel=1e-9)
    assert found(live) == pytest.approx(sum(left.values()), rel=1e-9)
    dense = {n: 100.0 * (k + 1) for k, n in enumerate(operands)}
    expected = sum(dense[n] * left[n] / whole[n] for n in operands)
    relative = net.cost("synops", operands=operands, dense_synops=dense)
    assert relative(live) == pytest.approx(expected)


def synops(module, operands):
    fan_out = conv_fan_out(module.weight, getattr(module, "groups", 1))
    return float((operands * fan_out).sum())


def inputs_alive(groups, live, layer, inputs):
    alive = torch.ones(inputs, dtype=torch.bool)
    for group in groups:
        for member in group.of("in"):
            if member.module == layer:
                alive[member.index[~live[group.name]].flatten()] = False
    return alive


def test_without_observations_every_operand_counts(traced):
    net = traced("residual")
    assert net.cost("synops")({}) == sum(row.macs for row in net.wiring.layers.values())


def test_a_layer_that_reads_nothing_costs_nothing(traced):
    net = traced("residual")
    operands = {n: torch.zeros_like(o) for n, o in operands_of(net).items()}
    assert net.cost("synops", operands=operands)({}) == 0


def test_a_group_that_is_absent_counts_as_whole(traced):
    net = traced("vgg-small")
    model_cost = net.cost("channels")
    assert model_cost({}) == 4 + 6 + 8 + 7
    assert model_cost({"body.conv2": torch.arange(6) < 2}) == 4 + 2 + 8 + 7
