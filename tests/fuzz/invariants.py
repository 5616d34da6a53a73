"""What must hold of every run (method, section 8), each by its own small reference."""

import copy
import json
import math

import torch
from tests.fuzz.nets import DECAY, THRESHOLD, OwnNeuron, batch_for, build, logits
from tests.fuzz.runs import DIRECTIONS

from spikeprune import cut
from spikeprune.execution.forward import forward
from spikeprune.observing.observer import score_loader
from spikeprune.science.criticality import channel_criticality
from spikeprune.science.schedule import density_at
from spikeprune.science.surrogate import named_curve
from spikeprune.wiring.cut_plan import apply_plan


def same(one, two):
    """Whether two trees of tensors and values agree bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == two.dtype and torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two or (one != one and two != two)


# -- weights and channels that are dead, whole, kept and regrown --------------------------------


def nothing_dead_is_revived(loop):
    """Every dead entry is 0, and so is its momentum, unless it is that of a latent weight."""
    latent = loop.pruner.options.latent is not None and not loop.pruner.finished
    parameters = dict(loop.model.named_parameters())
    for name, live in loop.pruner.mask.items():
        assert not parameters[name].detach()[~live].any(), name
        for key, value in loop.optimizer.state.get(parameters[name], {}).items():
            assert latent or key not in DIRECTIONS or not value[~live].any(), (name, key)


def untouched_layers_are_whole(loop):
    """A layer that is not pruned has all of its weights."""
    for name, parameter in loop.model.named_parameters():
        if parameter.ndim > 1 and name not in loop.pruner.mask:
            assert parameter.detach().all(), name


def event_adds_up(loop, event, before, regrown_before):
    """Kept were live, regrown are others; the two kinds of return and survival add up."""
    pruner = loop.pruner
    live, regrown = pruner.granularity.live, pruner.last_regrown
    kept = {name: mask & ~regrown[name] for name, mask in live.items()}
    came = count(regrown)
    assert all(not (regrown[n] & ~m).any() for n, m in live.items())
    assert all(not (kept[n] & ~before[n]).any() for n in live)
    assert (event.live, event.kept, event.regrown) == (count(live), count(kept), came)
    dead = sum(int((regrown[n] & ~before[n]).sum()) for n in live)
    assert (event.dead_and_returned, event.dropped_and_returned) == (dead, came - dead)
    for name, row in event.layers.items():
        assert row["live"] == int(live[name].sum())
        assert (row["regrown"], row["total"]) == (int(regrown[name].sum()), live[name].numel())
    if len(pruner.events) > 1:
        stayed = sum(int((mask & kept[n]).sum()) for n, mask in regrown_before.items())
        survival = stayed / count(regrown_before) if count(regrown_before) else None
        assert pruner.events[-2].survival == survival
    assert event.survival is None


def count(masks):
    return sum(int(mask.sum()) for mask in masks.values())


def count_is_exact(loop, event):
    """The weights that live are those of the schedule; a budget of operations is not exceeded."""
    options, pruner = loop.case.options, loop.pruner
    if options.schedule == "early-bird" and event.step and not pruner.finished:  # it waits
        assert (event.kept, event.regrown) == (event.live, 0)
        return
    if event.budget is not None:
        assert event.budget.cost <= event.budget.allowed
        return
    sparse = pruner.event_steps[0] == 0
    k, n = event.event - sparse, max(1, event.events - sparse)
    final, initial = 1 - options.sparsity, options.initial_density
    density = density_at(k, n, final, initial=initial, schedule=options.schedule)
    assert event.live == pruner.mask.live == round(density * pruner.mask.total)
    assert event.density == pruner.density == event.live / pruner.mask.total


def limits_are_held(loop):
    """At the end every layer is within the limits of its density, up to one weight."""
    for pattern, (low, high) in loop.case.options.limits.items():
        for name, mask in loop.pruner.granularity.live.items():
            if within_limits(name, pattern):
                size = mask.numel()
                least, most = math.ceil(low * size - 1e-6), math.floor(high * size + 1e-6)
                assert least <= int(mask.sum()) <= max(least, most), name


def within_limits(name, pattern):
    """Whether a pattern of these tests is about a layer."""
    return name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1]))


def floors_are_held(loop):
    """Every group has the channels of the floor, in multiples of what the hardware wants."""
    options = loop.case.options.channels
    for mask in loop.pruner.granularity.live.values():
        size, live = len(mask), int(mask.sum())
        floor = min(size, -(-options.floor // options.round_to) * options.round_to)
        assert live >= floor
        assert live == size or live % options.round_to == 0


# -- scores -------------------------------------------------------------------------------------


def simulated(name, module, inputs):
    """Return the potentials minus threshold `[T, B, ...]` of a neuron, by its equation."""
    own = isinstance(module, OwnNeuron)
    soft = module.soft if own else module.v_reset is None
    threshold = THRESHOLD if own else 1.0
    v, found = torch.zeros_like(inputs[0]), []
    for x in inputs:
        h = DECAY * v + x if own else charged(module, v, x)
        spike = (h >= threshold).to(h)
        v = h - threshold * spike if soft else h * (1 - spike)
        found.append(h - threshold)
    return torch.stack(found)


def charged(module, v, x):
    if hasattr(module, "tau"):
        return v + (x - v) / module.tau
    return v + (x - v) * module.w.sigmoid() if hasattr(module, "w") else v + x


@torch.no_grad()
def scores_agree(loop):
    """Streamed equal stored scores, in any order of the samples and any split into batches."""
    net = loop.case.net
    loop.model.rest()
    model, wiring = copy.deepcopy(loop.model).eval().double(), loop.pruner.wiring
    x, _ = batch_for(net, 99, size=5)
    x, axis = x.double(), 0 if net.layout == "batch" else 1
    how = loop.case.options.criticality

    def scores(*batches):
        def run(part):
            return forward(model, part, time_steps=net.time_steps, layout=net.layout)

        steps = net.time_steps
        return score_loader(model, batches, how, time_steps=steps, forward=run, wiring=wiring)

    whole = scores(x)
    order = torch.tensor([3, 0, 4, 1, 2])
    split = scores(*x.index_select(axis, order).split([4, 1], axis))
    curve = named_curve("atan" if how.curve == "model" else how.curve, how.value)
    stored = stored_potentials(model, x)
    for name, stats in whole.items():
        assert bool(stats.score.isfinite().all())
        assert bool((stats.score >= 0).all())
        torch.testing.assert_close(split[name].score, stats.score)
        torch.testing.assert_close(split[name].rate, stats.rate)
        h = stored[name]
        torch.testing.assert_close(
            channel_criticality(h, curve, space=how.space, time=how.time).float(),
            stats.score.float(),
        )
        axes = [i for i in range(h.ndim) if i != 2]
        torch.testing.assert_close((h >= 0).double().mean(axes).float(), stats.rate.float())


def stored_potentials(model, x):
    """Return the potentials of every neuron in one run, by name, computed from its inputs."""
    inputs, handles = {}, []
    for name, module in model.named_modules():
        if isinstance(module, OwnNeuron) or hasattr(module, "v_threshold"):
            parts = inputs[name] = []
            hook = module.register_forward_pre_hook(lambda m, a, parts=parts: parts.append(a[0]))
            handles.append(hook)
    logits(model, x)
    model.rest()
    for handle in handles:
        handle.remove()
    modules, sequence = dict(model.named_modules()), model.layout == "sequence"
    return {
        name: simulated(name, modules[name], parts[0].unbind(0) if sequence else parts)
        for name, parts in inputs.items()
    }


# -- the cut and the second run -----------------------------------------------------------------


@torch.no_grad()
def masked_equals_cut(loop):
    """The cut net answers as the masked net, also built anew from its plan; in float64."""
    net, x = loop.case.net, batch_for(loop.case.net, 77)[0].double()
    loop.model.rest()
    masked = copy.deepcopy(loop.model).eval().double()
    result = cut(loop.pruner)
    whole = [note for note in result.notes if "no channel was cut" in note]
    assert all("joined with the input" in note for note in whole), whole
    expected = logits(masked, x)
    scale = max(1.0, float(expected.abs().max()))
    again = apply_plan(build(net), json.loads(json.dumps(result.plan)))
    again.load_state_dict(result.model.state_dict())
    for model in (result.model, again):
        found = logits(copy.deepcopy(model).eval().double(), x)
        assert float((found - expected).abs().max()) <= 1e-5 * scale
    for name, live in result.mask.items():
        assert not result.model.get_parameter(name)[~live].any()
