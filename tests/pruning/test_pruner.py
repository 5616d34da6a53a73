"""The pruner in the user's own loop: every invariant of the method, and nothing left behind."""

import copy
import functools
import io
import math
from dataclasses import fields

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from spikeprune import zoo
from spikeprune.adapters.speedups import fuse
from spikeprune.errors import (
    BudgetError,
    ConfigError,
    ModelError,
    ObservationError,
    RunError,
    SpikePruneError,
)
from spikeprune.execution.forward import forward
from spikeprune.execution.last_call import LastCall
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.pruning.methods import options_for
from spikeprune.pruning.option_types import ChannelOptions
from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.pruner import Pruner
from spikeprune.pruning.selection import EventRecord
from spikeprune.science.schedule import density_at
from spikeprune.training.checkpoint import load_tree, save_tree
from spikeprune.training.losses import loss_by_name

T = 3
FIELDS = {field.name for field in fields(PruneOptions)}
LOSS = loss_by_name("mean-logits")


def dense_net():
    """Two hidden layers ("0", "3") and the classifier ("6"): 48 + 56 + 21 = 125 weights."""
    torch.manual_seed(0)
    net = nn.Sequential(
        layer.Linear(6, 8, bias=False),
        layer.BatchNorm1d(8),
        neuron.LIFNode(),
        layer.Linear(8, 7),
        layer.BatchNorm1d(7),
        neuron.ParametricLIFNode(),
        layer.Linear(7, 3),
    )
    functional.set_step_mode(net, "m")
    return net


def conv_net():
    torch.manual_seed(0)
    return zoo.build(
        "vgg-small",
        classes=3,
        in_channels=2,
        image_size=6,
        time_steps=T,
        widths=(4, 6, 5),
        strides=(2, 1, 1),
    )


def batch_for(model, step, size=8):
    generator = torch.Generator().manual_seed(1000 + step)
    shape = (6,) if isinstance(model, nn.Sequential) else (2, 6, 6)
    x = torch.randn(size, *shape, generator=generator)
    if not isinstance(model, nn.Sequential):
        x = x.contiguous(memory_format=torch.channels_last)
    return x, torch.randint(3, (size,), generator=generator)


OPTIMIZERS = {
    "sgd": functools.partial(
        torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01
    ),
    "adam": functools.partial(torch.optim.Adam, lr=0.02, weight_decay=0.01),
    "adamw": functools.partial(torch.optim.AdamW, lr=0.02, weight_decay=0.1),
    "rmsprop": functools.partial(torch.optim.RMSprop, lr=0.02, momentum=0.9, weight_decay=0.01),
    "adagrad": functools.partial(torch.optim.Adagrad, lr=0.1, weight_decay=0.01),
    "nadam": functools.partial(torch.optim.NAdam, lr=0.02, weight_decay=0.01),
}


class Loop:
    """A training loop as users write it: batch `i` is the same whenever it is drawn."""

    def __init__(self, model=None, *, optimizer="sgd", total=8, accumulate=1, **options):
        self.model = model or dense_net()
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        self.accumulate = accumulate
        example, _ = batch_for(self.model, 0, size=1)
        options = {"sparsity": 0.7, "every": 2, "regrow": "criticality"} | options
        chosen = {name: options.pop(name) for name in FIELDS & options.keys()}
        self.pruner = Pruner(
            self.model,
            self.optimizer,
            example,
            time_steps=T,
            total_steps=total,
            options=PruneOptions.of(**chosen),
            **options,
        )

    def backward(self):
        self.model.train()
        self.optimizer.zero_grad()
        for part in range(self.accumulate):
            x, y = batch_for(self.model, self.pruner.steps * self.accumulate + part)
            LOSS(forward(self.model, x, time_steps=T), y).backward()

    def step(self):
        self.backward()
        self.optimizer.step()
        return self.pruner.step()

    def run(self, upto):
        while self.pruner.steps < upto:
            self.step()
        return self

    def prunable(self):
        """Names and parameters that a mask is for."""
        named = dict(self.model.named_parameters())
        return [(name, named[name]) for name in self.pruner.mask]

    def state(self):
        """All that two runs must agree on, bit for bit."""
        events = [event.to_dict() for event in self.pruner.events]
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "mask": dict(self.pruner.mask),
            "scores": self.pruner.last_scores,
            "events": {str(i): str(event) for i, event in enumerate(events)},
        }


def same(one, two):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[k], two[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


def dead_entries(loop):
    tensors = dict(loop.model.named_parameters())
    return {n: tensors[n].detach()[~mask] for n, mask in loop.pruner.mask.items()}


# -- weights: what an event leaves -------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    allocation=st.sampled_from(["global", "uniform", "erk"]),
    regrow=st.sampled_from(["criticality", "random", "gradient", "none"]),
    schedule=st.sampled_from(["cubic", "linear", "one-shot"]),
    sparsity=st.floats(0.3, 0.75),
    fraction=st.sampled_from([0.0, 0.2, 0.5]),
    choice=st.sampled_from(
        [{}, {"exclude": ("0",)}, {"include": ("3", "6")}, {"limits": {"3": (0.3, 0.8)}}]
    ),
    seed=st.integers(0, 99),
)
def test_every_event_holds_the_invariants(
    allocation, regrow, schedule, sparsity, fraction, choice, seed
):
    loop = Loop(
        allocation=allocation,
        regrow=regrow,
        schedule=schedule,
        sparsity=sparsity,
        regrow_fraction=fraction,
        seed=seed,
        **choice,
    )
    pruner, events = loop.pruner, len(loop.pruner.event_steps)
    total = pruner.mask.total
    for k in range(1, events + 1):
        loop.run(pruner.event_steps[k - 1] - 1)
        before, regrown_before = dict(pruner.mask), dict(pruner.last_regrown)
        event = loop.step()
        density = density_at(k, events, 1 - sparsity, schedule=schedule)
        live = round(density * total)
        assert (event.live, pruner.mask.live) == (live, live)
        assert event.density == pruner.density == live / total
        assert event.kept + event.regrown == live
        assert event.dropped_and_returned + event.dead_and_returned == event.regrown
        regrown = {f"{n}.weight": m for n, m in pruner.last_regrown.items()}
        kept = {n: m & ~regrown[n] for n, m in pruner.mask.items()}
        assert all((m & ~before[n]).sum() == 0 for n, m in kept.items())
        came_dead = sum(int((m & ~before[n]).sum()) for n, m in regrown.items())
        assert event.dead_and_returned == came_dead
        assert sum(int(m.sum()) for m in regrown.values()) == event.regrown
        assert "6.weight" not in regrown or not regrown["6.weight"].any()
        if k > 1:
            came = sum(int(m.sum()) for m in regrown_before.values())
            stayed = sum(int((m & kept[f"{n}.weight"]).sum()) for n, m in regrown_before.items())
            assert pruner.events[-2].survival == (stayed / came if came else None)
        assert pruner.events[-1].survival is None
        assert not any(values.any() for values in dead_entries(loop).values())
    assert pruner.finished
    prunable = {"0.weight", "3.weight", "6.weight"}
    assert (set(pruner.mask) == prunable) or choice.keys() & {"include", "exclude"}


def test_the_classifier_keeps_its_share_of_the_global_rank():
    loop = Loop(regrow_fraction=0.5).run(1)
    loop.backward()
    loop.optimizer.step()
    weights = {n: p.detach().abs() for n, p in loop.model.named_parameters() if p.dim() > 1}
    event = loop.pruner.step()
    threshold = torch.cat([w.flatten() for w in weights.values()]).sort(descending=True).values
    share = int((weights["6.weight"] >= threshold[event.live - 1]).sum())
    assert event.layers["6"] == {"live": share, "total": 21, "regrown": 0, "survived": None}
    assert event.regrown == int(0.5 * (event.live - share))


def test_what_is_not_pruned_stays_whole():
    loop = Loop(sparsity=0.9, exclude=("3",)).run(8)
    parameters = dict(loop.model.named_parameters())
    assert set(loop.pruner.mask) == {"0.weight", "6.weight"}
    assert all((parameters[n] != 0).all() for n in ("3.weight", "3.bias", "6.bias", "1.weight"))
    assert loop.model.state_dict().keys() == dense_net().state_dict().keys()


def test_densities_of_the_whole_net():
    pruner = Loop(sparsity=0.5, schedule="one-shot", regrow="none").run(8).pruner
    live = {n: int(m.sum()) for n, m in pruner.mask.items()}
    assert pruner.density == sum(live.values()) / 125
    assert sum(pruner.live_macs.values()) == sum(live.values())  # linear layers: one MAC a weight
    assert pruner.event_steps == (8,)


# -- one event against a reference that shares no code with it ---------------------------------


def simulated_scores(net, x):
    """Criticality of two IF layers, by hand: H = V + input, fires at 1, hard reset to 0."""
    first, second = net[0].weight.detach(), net[2].weight.detach()
    bias = net[2].bias.detach()
    v1, v2 = torch.zeros(len(x), len(first)), torch.zeros(len(x), len(second))
    sums = [torch.zeros_like(v1), torch.zeros_like(v2)]
    for _ in range(T):
        h1 = v1 + x @ first.T
        s1 = (h1 >= 1).float()
        h2 = v2 + s1 @ second.T + bias
        s2 = (h2 >= 1).float()
        v1, v2 = h1 * (1 - s1), h2 * (1 - s2)
        for total, h in zip(sums, (h1, h2), strict=True):
            total += 1 / (1 + (math.pi * (h - 1)) ** 2)
    return [(total / T).mean(0) for total in sums]


def test_an_event_equals_the_slow_reference():
    torch.manual_seed(1)
    net = nn.Sequential(
        layer.Linear(6, 8, bias=False),
        neuron.IFNode(surrogate_function=surrogate.ATan()),
        layer.Linear(8, 5),
        neuron.IFNode(surrogate_function=surrogate.ATan()),
        layer.Linear(5, 3),
    )
    functional.set_step_mode(net, "m")
    loop = Loop(net, sparsity=0.6, regrow_fraction=0.3, total=6)
    weights = {n: loop.model.get_submodule(n).weight for n in ("0", "2", "4")}
    live = {(n, i) for n, w in weights.items() for i in range(w.numel())}
    for k in (1, 2, 3):
        loop.run(2 * k - 1)
        x, _ = batch_for(net, 2 * k - 1)
        scores = dict(zip(("0", "2"), simulated_scores(net, x), strict=True))
        loop.backward()
        loop.optimizer.step()
        size = {n: w.detach().abs().flatten().tolist() for n, w in weights.items()}
        every = [(n, i) for n in size for i in range(len(size[n]))]
        magnitude = {
            (n, i): size[n][i] if (n, i) in live else 0.0 for n in size for i in range(len(size[n]))
        }
        rank = sorted(every, key=lambda key: (key not in live, -magnitude[key], every.index(key)))
        wanted = round(density_at(k, 3, 0.4) * len(every))
        head = {key for key in rank[:wanted] if key[0] == "4"}
        rest = wanted - len(head)
        grow = int(0.3 * rest)
        kept = set([key for key in rank if key[0] != "4" and key in live][: rest - grow]) | head
        score = {
            (n, i): float(scores[n][i // weights[n].shape[1]])
            for n, i in every
            if n != "4" and (n, i) not in kept
        }
        back = sorted(score, key=lambda key: (-score[key], -magnitude[key], every.index(key)))
        live = kept | set(back[:grow])
        loop.pruner.step()
        for n, found in zip(("1", "3"), scores.values(), strict=True):
            torch.testing.assert_close(loop.pruner.last_scores[n], found)
        masks = loop.pruner.mask
        found = {
            (n, i)
            for n in weights
            for i in masks[f"{n}.weight"].flatten().nonzero().flatten().tolist()
        }
        assert found == live


# -- optimisers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_no_optimizer_revives_a_dead_weight(optimizer):
    loop = Loop(optimizer=optimizer, sparsity=0.8, regrow_fraction=0.3)
    moved = 0
    for _ in range(20):
        before = {n: m.clone() for n, m in loop.pruner.mask.items()}
        event = loop.step()
        assert not any(values.any() for values in dead_entries(loop).values())
        parameters = dict(loop.model.named_parameters())
        for name, mask in loop.pruner.mask.items():
            if event is None:
                assert torch.equal(mask, before[name])
            moved += int((parameters[name].detach()[mask] != 0).sum())
    assert moved
    assert loop.pruner.density == round(0.2 * 125) / 125
    # What came back at an event has been trained since.
    parameters = dict(loop.model.named_parameters())
    assert any(
        parameters[f"{name}.weight"].detach()[regrown].any()
        for name, regrown in loop.pruner.last_regrown.items()
    )


@pytest.mark.parametrize("initial", ["zero", "previous", "unchanged"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_returned_weight_starts_as_stated(initial, optimizer):
    options = {"initial_value": initial, "regrow": "random", "regrow_fraction": 0.4}
    loop = Loop(optimizer=optimizer, **options).run(3)
    loop.backward()
    loop.optimizer.step()
    before = dict(loop.pruner.mask)
    values = {n: p.detach() * before[n] for n, p in loop.prunable()}
    state = {n: copy.deepcopy(loop.optimizer.state[p]) for n, p in loop.prunable()}
    event = loop.pruner.step()
    assert event.dropped_and_returned > 0
    assert event.dead_and_returned > 0
    for name, parameter in loop.prunable():
        regrown = loop.pruner.last_regrown[name.removesuffix(".weight")]
        kept = loop.pruner.mask[name] & ~regrown
        start = torch.zeros_like(values[name]) if initial == "zero" else values[name]
        same = kept | (regrown & before[name]) if initial == "unchanged" else kept
        assert torch.equal(parameter.detach()[regrown], start[regrown])
        assert torch.equal(parameter.detach()[kept], values[name][kept])
        after = loop.optimizer.state[parameter]
        first = "momentum_buffer" if optimizer == "sgd" else "exp_avg"
        assert not after[first][~same].any()
        assert torch.equal(after[first][same], state[name][first][same])
        if optimizer == "adamw":
            mean = state[name]["exp_avg_sq"][same].mean()
            torch.testing.assert_close(after["exp_avg_sq"][~same], mean.expand(int((~same).sum())))


# -- gradients ----------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 3])
def test_gradients_of_dead_weights_are_masked_before_clipping(accumulate):
    loop = Loop(sparsity=0.8, accumulate=accumulate).run(3)
    loop.backward()
    gradients = {n: p.grad for n, p in loop.prunable()}
    assert all(not g[~loop.pruner.mask[n]].any() for n, g in gradients.items())
    norm = nn.utils.clip_grad_norm_(loop.model.parameters(), 1.0)
    live = [p.grad.norm() for p in loop.model.parameters()]
    assert norm >= torch.stack(live).norm() * 0.99


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize(
    "options",
    [{"regrow": "gradient"}, {"criticality": CriticalityOptions(weight="post*grad")}],
)
def test_an_event_that_needs_it_sees_the_whole_dense_gradient(options, accumulate):
    loop = Loop(sparsity=0.8, accumulate=accumulate, **options).run(3)
    free = dense_net().train()
    free.load_state_dict(loop.model.state_dict())
    for part in range(accumulate):
        x, y = batch_for(free, 3 * accumulate + part)
        LOSS(forward(free, x, time_steps=T), y).backward()
    loop.backward()
    dense = {n: p.grad.clone() for n, p in free.named_parameters()}
    for name, parameter in loop.prunable():
        assert torch.equal(parameter.grad, dense[name])
    assert any(dense[n][~m].any() for n, m in loop.pruner.mask.items())
    loop.optimizer.step()
    for name, parameter in loop.prunable():
        dead = ~loop.pruner.mask[name]
        assert torch.equal(loop.pruner._keeper._taken[name], dense[name])
        assert not parameter.grad[dead].any()
        assert not loop.optimizer.state[parameter]["momentum_buffer"][dead].any()
    event = loop.pruner.step()
    assert loop.pruner._keeper._taken == {}
    if "regrow" in options:  # the regrown are those of the largest gradient outside of the kept
        pairs = []
        for name in ("0.weight", "3.weight"):
            regrown = loop.pruner.last_regrown[name.removesuffix(".weight")]
            outside = ~(loop.pruner.mask[name] & ~regrown)
            pairs += list(zip(dense[name].abs()[outside], regrown[outside], strict=True))
        pairs.sort(key=lambda pair: -float(pair[0]))
        assert all(chosen for _, chosen in pairs[: event.regrown])
    loop.backward()  # an ordinary step again
    assert all(not p.grad[~loop.pruner.mask[n]].any() for n, p in loop.prunable())


# -- the same run again, or in two pieces -------------------------------------------------------

SCENARIOS = {
    "criticality": {},
    "batches": {"criticality": CriticalityOptions(batches=2)},
    "always armed": {"every": 1, "total": 5},
    "gradient": {"regrow": "gradient"},
    "post*grad": {"criticality": CriticalityOptions(weight="post*grad"), "optimizer": "adamw"},
    "random": {"regrow": "random", "saliency": "random", "seed": 3},
    "synops": {"budget": "synops", "criticality": CriticalityOptions(batches=2)},
    "channels": {"granularity": "channel", "sparsity": 0.4, "regrow_fraction": 0.2, "total": 5},
    "channels of a loader": {
        "granularity": "channel",
        "sparsity": 0.4,
        "criticality": CriticalityOptions(score_on="train-set"),
        "score_batches": [batch_for(dense_net(), 77)],
        "total": 5,
    },
}


def fresh(name):
    return Loop(**SCENARIOS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_resume_equals_no_interruption_at_every_step(name, tmp_path):
    whole = fresh(name)
    end = whole.pruner.event_steps[-1] + 1
    for step in range(end + 1):
        whole.run(step)
        save_tree(
            tmp_path / f"{step}",
            {
                "model": whole.model.state_dict(),
                "optimizer": whole.optimizer.state_dict(),
                "pruner": whole.pruner.state_dict(),
            },
        )
    expected = whole.state()
    for step in range(end + 1):
        torch.manual_seed(99)
        again, saved = fresh(name), load_tree(tmp_path / f"{step}")
        again.model.load_state_dict(saved["model"])
        again.optimizer.load_state_dict(saved["optimizer"])
        again.pruner.load_state_dict(saved["pruner"])
        assert again.pruner.density == (
            again.pruner.events[-1].density if again.pruner.events else 1.0
        )
        again.run(end)
        assert same(again.state(), expected), step


def test_resume_in_channels_last(tmp_path):
    def start():
        model = conv_net().to(memory_format=torch.channels_last)
        return Loop(model, total=6)

    whole = start().run(3)
    state = {"model": whole.model, "optimizer": whole.optimizer, "pruner": whole.pruner}
    save_tree(tmp_path / "state", {n: part.state_dict() for n, part in state.items()})
    again, saved = start(), load_tree(tmp_path / "state")
    again.model.load_state_dict(saved["model"])
    again.optimizer.load_state_dict(saved["optimizer"])
    again.pruner.load_state_dict(saved["pruner"])
    momentum = again.optimizer.state[again.model.body.conv2.weight]["momentum_buffer"]
    assert momentum.stride() == again.model.body.conv2.weight.stride()
    assert same(again.run(8).state(), whole.run(8).state())


def test_the_same_seed_gives_the_same_masks_bit_for_bit():
    for name in ("criticality", "random", "channels"):
        assert same(fresh(name).run(5).state(), fresh(name).run(5).state())
    other = Loop(regrow="random", saliency="random", seed=4).run(5)
    assert not same(dict(other.pruner.mask), dict(fresh("random").run(5).pruner.mask))


def test_a_foreign_state_is_refused():
    state = Loop().run(2).pruner.state_dict()
    for other in (Loop(total=20), Loop(exclude=("0",)), Loop(conv_net())):
        with pytest.raises(RunError, match=r"expected the state of a pruner.*options of the run"):
            other.pruner.load_state_dict(state)
    with pytest.raises(RunError, match=r"events at steps 2, 4, \.\.\., 20, got one of 3 layers"):
        Loop(total=20).pruner.load_state_dict(state)


# -- observing ----------------------------------------------------------------------------------


def test_evaluation_between_armed_steps_does_not_disturb_scoring():
    def evaluated(loop):
        for _ in range(5):
            loop.step()
            loop.model.eval()
            with torch.no_grad():
                forward(loop.model, batch_for(loop.model, 55)[0], time_steps=T)
        return loop

    options = {"criticality": CriticalityOptions(batches=2)}
    assert same(evaluated(Loop(**options)).state(), Loop(**options).run(5).state())


@pytest.mark.parametrize(
    "options",
    [
        {"curve": "sigmoid"},
        {"curve": "tanh"},
        {"curve": "triangle"},
        {"value": "primitive"},
        {"space": "mean"},
        {"time": "max"},
        {"normalise": "layer"},
        {"normalise": "synops"},
        {"weight": "post*pre"},
        {"weight": "post*grad"},
        {"normalise": "synops", "weight": "post*pre", "curve": "tanh"},
        {"score_on": "train-set"},
    ],
)
def test_every_criticality_option_leaves_its_mark(options):
    def pruned(**how):
        model = conv_net()
        loop = Loop(
            model,
            every=1,
            regrow_fraction=0.5,
            criticality=CriticalityOptions(**how),
            score_batches=[batch_for(model, 500)],
        ).run(2)
        assert all(s.isfinite().all() and (s >= 0).all() for s in loop.pruner.last_scores.values())
        assert loop.pruner.scores_loader is (how.get("score_on") == "train-set")
        return {"masks": dict(loop.pruner.mask), "scores": loop.pruner.last_scores}

    assert not same(pruned(**options), pruned())
    if "curve" in options:  # the zoo's surrogate is this one
        assert same(pruned(curve="atan")["masks"], pruned()["masks"])


def test_scores_are_recorded_by_neuron():
    loop = Loop().run(2)
    assert {n: len(s) for n, s in loop.pruner.last_scores.items()} == {"2": 8, "5": 7}
    assert Loop(regrow="none").run(2).pruner.last_scores == {}


# -- channels -----------------------------------------------------------------------------------


def test_the_penalty_is_added_once_an_optimizer_step():
    loop = Loop(
        conv_net(),
        granularity="channel",
        accumulate=3,
        total=2,
        regrow="none",
        channels=ChannelOptions(l1=0.01),
    )
    norms = [m for m in loop.model.modules() if isinstance(m, nn.BatchNorm2d)]
    norms[0].weight.data[0] = -0.5
    for step in range(3):
        loop.backward()
        plain = [m.weight.grad.clone() for m in norms]
        signs = [m.weight.detach().sign() for m in norms]
        loop.optimizer.step()
        for norm, gradient, sign in zip(norms, plain, signs, strict=True):
            penalty = 0.01 * sign if step < 2 else torch.zeros_like(sign)  # none after the event
            torch.testing.assert_close(norm.weight.grad, gradient + penalty)
        loop.pruner.step()


@pytest.mark.parametrize("regrow", ["criticality", "random", "none"])
def test_the_channel_event(regrow):
    loop = Loop(
        conv_net(), granularity="channel", regrow=regrow, regrow_fraction=0.3, sparsity=0.4
    ).run(7)
    scales = {
        "stem.conv": loop.model.stem.norm,
        "body.conv2": loop.model.body.norm2,
        "body.conv3": loop.model.body.norm3,
    }
    loop.backward()
    loop.optimizer.step()
    gamma = {n: m.weight.detach().abs().clone() for n, m in scales.items()}
    values = {n: p.detach().clone() for n, p in loop.model.named_parameters()}
    event = loop.pruner.step()
    live = loop.pruner.granularity.live
    # 15 channels, 60 % of them live: C = 9, G = floor(0.3 x 9) = 2.
    grown = 0 if regrow == "none" else 2
    assert (event.live, event.kept, event.regrown) == (9, 9 - grown, grown)
    assert event.budget.cost == 9
    assert (event.event, event.events) == (1, 1)
    order = torch.cat(list(gamma.values())).argsort(descending=True)[: 9 - grown]
    kept = torch.cat([m & ~loop.pruner.last_regrown[n] for n, m in live.items()])
    assert torch.equal(kept.nonzero().flatten(), order.sort().values)
    if regrow == "criticality":
        scores = torch.cat([loop.pruner.last_scores[f"body.spike{i}"] for i in (1, 2, 3)])
        others = (~kept).nonzero().flatten()
        best = others[scores[others].argsort(descending=True)[:2]]
        regrown = torch.cat(list(loop.pruner.last_regrown.values())).nonzero().flatten()
        assert torch.equal(regrown, best.sort().values)
    # What stays or comes back keeps its trained values; what goes is silent.
    for name, parameter in loop.model.named_parameters():
        mask = loop.pruner.mask.get(name, torch.ones_like(parameter, dtype=torch.bool))
        assert torch.equal(parameter.detach(), values[name] * mask)
    for name, norm in scales.items():
        assert not norm.weight.detach()[~live[name]].any()
        assert not norm.bias.detach()[~live[name]].any()
    loop.run(12)
    assert not any(values.any() for values in dead_entries(loop).values())
    assert loop.pruner.density < 0.7


def test_a_group_may_live_by_regrowth_alone():
    loop = Loop(conv_net(), granularity="channel", regrow_fraction=0.5, sparsity=0.4)
    loop.model.stem.norm.weight.data.mul_(1e-3)
    loop.run(7)
    loop.model.stem.norm.weight.data.fill_(1e-4)
    found = loop.pruner._observer.observations

    def observations(gradients, generator):
        seen = found(gradients, generator)
        seen.stats["body.spike1"].score.fill_(5.0)
        return seen

    loop.pruner._observer.observations = observations
    loop.step()
    assert loop.pruner.last_regrown["stem.conv"].all()
    assert loop.pruner.mask["stem.conv.weight"].all()


@pytest.mark.parametrize("budget", ["parameters", "macs", "synops", "energy"])
def test_channel_budgets(budget):
    loop = Loop(
        conv_net(),
        granularity="channel",
        sparsity=0.5,
        channels=ChannelOptions(budget=budget, floor=2),
    ).run(8)
    use = loop.pruner.events[0].budget
    assert use.unit == budget
    assert 0 < use.cost <= use.allowed == pytest.approx(0.5 * use.total)
    assert all(int(m.sum()) >= 2 for m in loop.pruner.granularity.live.values())


@pytest.mark.parametrize("granularity", ["weight", "channel"])
@pytest.mark.parametrize("allocation", ["global", "budget"])
def test_two_budgets_hold_at_every_event(granularity, allocation):
    first = {"weight": "energy", "channel": "macs"}[granularity]
    second = {"weight": "weights", "channel": "energy"}[granularity]
    budget = {"budget": first}
    if granularity == "channel":
        budget = {"channels": ChannelOptions(budget=first)}
    loop = Loop(
        conv_net(),
        granularity=granularity,
        allocation=allocation,
        sparsity=0.5,
        within={second: 0.5},
        **budget,
    ).run(8)
    for event in loop.pruner.events:
        uses = (event.budget, *event.budget.within)
        assert [use.unit for use in uses] == [first, second]
        assert all(0 < use.cost <= use.allowed for use in uses)
        assert EventRecord.from_dict(event.to_dict()) == event
    for use in uses:
        assert use.allowed == pytest.approx(0.5 * use.total)


# -- nothing stays behind -----------------------------------------------------------------------


def traces(model, optimizer):
    """Everything that somebody may have hung onto a model or an optimiser."""
    found = []
    for name, module in model.named_modules():
        hooks = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
        found += [name for h in hooks if not (isinstance(h, LastCall) and h.arguments is None)]
    found += [n for n, m in model.named_modules() if {"reset", "forward"} & m.__dict__.keys()]
    found += [n for n, p in model.named_parameters() if p._post_accumulate_grad_hooks]
    return found + list(optimizer._optimizer_step_pre_hooks)


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_closing_removes_every_hook(steps):
    loop = Loop(criticality=CriticalityOptions(batches=2)).run(steps)
    assert traces(loop.model, loop.optimizer)
    loop.pruner.close()
    assert not traces(loop.model, loop.optimizer)
    assert len(loop.pruner.events) == steps // 2
    loop.pruner.close()


def test_an_exception_in_the_loop_leaves_nothing():
    loop = Loop(every=1)

    def interrupted():
        with loop.pruner as pruner:
            assert pruner is loop.pruner
            loop.step()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not traces(loop.model, loop.optimizer)


def test_an_event_that_fails_leaves_nothing():
    loop = Loop().run(1)
    loop.backward()
    loop.optimizer.step()
    loop.model[0].weight.data[0, 0] = torch.nan
    with pytest.raises(RunError, match="not a number"):
        loop.pruner.step()
    assert not traces(loop.model, loop.optimizer)


def test_a_pruner_that_cannot_be_made_leaves_nothing():
    model = dense_net()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    for wrong in ({"every": 9}, {"sparsity": 1.5}, {"limits": {"*": (0.9, 1)}}, {"incl": ()}):
        with pytest.raises(ConfigError):
            Pruner(
                model,
                optimizer,
                torch.zeros(1, 6),
                time_steps=T,
                total_steps=8,
                **{"sparsity": 0.9} | wrong,
            )
        assert not traces(model, optimizer)


def test_a_copy_of_the_model_is_free():
    loop = Loop(every=4).run(5)
    functional.reset_net(loop.model)
    twin = copy.deepcopy(loop.model)
    assert not traces(twin, torch.optim.SGD(twin.parameters(), lr=0.1))
    assert same(twin.state_dict(), loop.model.state_dict())
    x, y = batch_for(twin, 3)
    LOSS(forward(twin.train(), x, time_steps=T), y).backward()
    assert any(
        p.grad[~loop.pruner.mask[n]].any()
        for n, p in twin.named_parameters()
        if n in loop.pruner.mask
    )
    assert same(loop.run(9).state(), Loop(every=4).run(9).state())


def test_a_copy_of_an_armed_model_is_free():
    loop = Loop(every=1).run(2)
    functional.reset_net(loop.model)
    twin = copy.deepcopy(loop.model)
    x, _ = batch_for(twin, 3)
    first, second = (forward(twin, x, time_steps=T) for _ in range(2))
    assert same(first, second)  # its neurons are reset
    assert same(loop.run(5).state(), Loop(every=1).run(5).state())


# -- the user's own loop ------------------------------------------------------------------------


def test_three_lines_in_a_plain_loop_in_single_step_mode():
    torch.manual_seed(0)
    net = nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1),
        layer.BatchNorm2d(4),
        neuron.IFNode(),
        layer.MaxPool2d(2),
        layer.Flatten(),
        layer.Linear(4 * 9, 3),
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    pruner = Pruner(  # line 1
        net,
        optimizer,
        torch.zeros(1, 1, 6, 6),
        time_steps=T,
        total_steps=6,
        every=2,
        sparsity=0.8,
    )
    for _ in range(8):
        x, y = torch.randn(5, 1, 6, 6), torch.randint(3, (5,))
        optimizer.zero_grad()
        logits = sum(net(x) for _ in range(T)) / T
        nn.functional.cross_entropy(logits, y).backward()
        optimizer.step()
        pruner.step()  # line 2
        functional.reset_net(net)
    pruner.close()  # line 3
    assert [event.step for event in pruner.events] == [2, 4, 6]
    assert pruner.density == round(0.2 * 144) / 144
    assert int((net[0].weight != 0).sum()) + int((net[5].weight != 0).sum()) == pruner.mask.live


def test_a_frozen_layer_is_pruned_and_an_unused_gradient_refused():
    model = dense_net()
    model[0].requires_grad_(False)
    loop = Loop(model).run(8)
    assert loop.pruner.mask["0.weight"].float().mean() < 1
    frozen = dense_net()
    frozen[0].requires_grad_(False)
    with pytest.raises(ModelError, match=r"'0.weight' got no gradient.*exclude the layer"):
        Loop(frozen, regrow="gradient").run(8)


def test_an_event_needs_a_step_of_the_optimizer():
    loop = Loop(regrow="gradient").run(1)
    loop.backward()
    with pytest.raises(RunError, match="the optimiser did not step"):
        loop.pruner.step()
    assert not traces(loop.model, loop.optimizer)


def test_a_second_backward_that_needs_the_graph():
    loop = Loop(sparsity=0.8).run(2)
    x, y = batch_for(loop.model, 2)
    loop.optimizer.zero_grad()
    with pytest.warns(UserWarning, match="create_graph"):
        LOSS(forward(loop.model, x, time_steps=T), y).backward(create_graph=True)
    assert all(not p.grad[~loop.pruner.mask[n]].any() for n, p in loop.prunable())


# -- errors -------------------------------------------------------------------------------------


def make(model=None, example=None, **options):
    model = model or dense_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    example = torch.zeros(1, 6) if example is None else example
    options = {"time_steps": T, "total_steps": 8, "every": 2} | options
    return Pruner(model, optimizer, example, **options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ConfigError, "sparsity has no default"),
        ({"sparsity": 0.9, "every": 9}, ConfigError, "no event: 8 optimiser steps.*lower `every`"),
        ({"sparsity": 0.9, "total_steps": 0}, ConfigError, "no event"),
        ({"sparsity": 0.9, "time_steps": 0}, ConfigError, "at least one time step"),
        ({"sparsity": 0.9, "include": ("x*",)}, ConfigError, r"'x\*' matches none.*: 0, 3, 6"),
        ({"sparsity": 0.9, "limits": {"9": (0, 1)}}, ConfigError, "'9' matches none of: 0, 3, 6"),
        (
            {"sparsity": 0.9, "granularity": "channel", "channels": ChannelOptions(floor=7)},
            BudgetError,
            "lower the sparsity",
        ),
        (
            {"sparsity": 0.5, "criticality": CriticalityOptions(batches=3)},
            ConfigError,
            "batches = 3 does not fit",
        ),
        (
            {"sparsity": 0.5, "criticality": CriticalityOptions(score_on="train-set")},
            ConfigError,
            "needs score_batches",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_training(options, error, message):
    with pytest.raises(error, match=message):
        make(**options)


COMPLETE = PruneOptions.of(sparsity=0.9, every=2)


@pytest.mark.parametrize(
    "beside", [{"sparsity": 0.9}, {"method": "magnitude"}, {"every": 4}, {"regrow": "none"}]
)
def test_complete_options_go_with_nothing_beside_them(beside):
    model = dense_net()
    optimizer = OPTIMIZERS["sgd"](model.parameters())

    def with_options(**changes):
        return Pruner(
            model,
            optimizer,
            torch.zeros(1, 6),
            time_steps=T,
            total_steps=8,
            options=COMPLETE,
            **changes,
        )

    with pytest.raises(ConfigError, match="options are complete; leave out sparsity, method"):
        with_options(**beside)
    with with_options() as pruner:
        assert pruner.options is COMPLETE


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("imp", r"trains in rounds.*use `spikeprune run --method imp`"),
        ("dense", "prunes nothing"),
        ("criticalty", "unknown method for weight pruning 'criticalty'.*criticality-ranked"),
        ("slimming", "'slimming' is not defined for weight pruning"),
    ],
)
def test_methods_that_a_pruner_cannot_follow_are_refused(method, message):
    with pytest.raises(ConfigError, match=message):
        make(sparsity=0.9, method=method)


@pytest.mark.parametrize("method", ["magnitude", "rigl", "snip", "criticality"])
def test_a_method_by_name_is_its_options(method):
    with make(sparsity=0.9, method=method) as pruner:
        assert pruner.options == options_for(method, sparsity=0.9, every=2)


def test_channels_without_a_norm_are_refused():
    net = nn.Sequential(nn.Linear(6, 4), neuron.IFNode(), nn.Linear(4, 2))
    with pytest.raises(ModelError, match="'0' has no BatchNorm; add one, or exclude the layer"):
        make(net, sparsity=0.5, granularity="channel")


def test_a_model_without_spiking_neurons_is_pruned_by_saliency_unless_they_were_asked_for():
    def relus():
        return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))

    pruner = make(relus(), sparsity=0.5)
    assert (pruner.options.saliency, pruner.options.regrow) == ("magnitude", "none")
    assert "no spiking neuron was found" in pruner.notes[0]
    for asked in ({"method": "criticality"}, {"regrow": "criticality"}):
        with pytest.raises(ModelError, match=r"expected spiking neurons .*method='magnitude'"):
            make(relus(), sparsity=0.5, **asked)


def answer(model, x):
    functional.reset_net(model)
    return forward(model, x, time_steps=T)


@pytest.mark.parametrize("fused", [False, True])
def test_a_net_is_saved_and_copied_while_it_is_observed(fused):
    net = dense_net()
    if fused:
        fuse(net)
    pruner = make(net, sparsity=0.5)
    pruner.steps = 1
    pruner._observer.arm_if_due(1)
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    saved = torch.load(file, weights_only=False)
    x = torch.rand(3, 6)
    for other in (saved, copy.deepcopy(net)):
        assert torch.equal(answer(other, x), answer(net, x))


class ByBatch(nn.Module):
    """A net in multi-step mode that takes `[B, T, C, H, W]`."""

    def __init__(self):
        super().__init__()
        self.conv, self.lif = layer.Conv2d(2, 4, 3), neuron.LIFNode()
        self.head = layer.Linear(4, 3)
        functional.set_step_mode(self, "m")

    def forward(self, x):
        return self.head(self.lif(self.conv(x.transpose(0, 1))).mean((-2, -1)))


def test_a_layout_that_hides_the_neurons_is_told_with_the_one_that_shows_them():
    net = ByBatch()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    made = {"time_steps": 4, "total_steps": 4, "sparsity": 0.5, "every": 1, "layout": "sequence"}
    say = "layout='sequence' says, but 1 do with layout='batch'"
    with pytest.raises(ModelError, match=say):
        Pruner(net, optimizer, torch.rand(1, 2, 8, 8), method="criticality", **made)
    assert say in Pruner(net, optimizer, torch.rand(1, 2, 8, 8), **made).notes[-1]


def test_a_wrong_number_of_time_steps_is_an_error():
    for wrong in (2, 4):
        pruner = make(time_steps=wrong, sparsity=0.5, every=1)
        model, optimizer = pruner.model, pruner.optimizer
        x, y = batch_for(model, 0)

        def once(model=model, optimizer=optimizer, pruner=pruner, x=x, y=y):
            LOSS(forward(model, x, time_steps=T), y).backward()
            optimizer.step()
            pruner.step()

        with pytest.raises(ObservationError, match=f"multiple of T = {wrong} time steps.*got 3"):
            once()
        assert not traces(model, optimizer)


def test_every_error_is_one_of_ours():
    for options in ({"sparsity": 2}, {"sparsity": 0.5, "allocation": "x"}):
        with pytest.raises(SpikePruneError):
            make(**options)
