"""What is observed, when, and that nothing else is."""

import pytest
import torch
from spikingjelly.activation_based import neuron
from tests.foreign.plain import States
from tests.foreign.plain import T as STEPS

from spikeprune import zoo
from spikeprune.errors import ConfigError, ObservationError, RunError
from spikeprune.execution.forward import forward
from spikeprune.observing.criticality_options import PAPER, CriticalityOptions
from spikeprune.observing.observer import score_loader
from spikeprune.pruning.events.observe_before import EventObserver
from spikeprune.pruning.option_types import ChannelOptions
from spikeprune.pruning.options import PruneOptions
from spikeprune.wiring.trace import trace

T = 3


def net():
    torch.manual_seed(0)
    return zoo.build(
        "vgg-small",
        classes=3,
        in_channels=1,
        image_size=8,
        time_steps=T,
        widths=(4, 5),
        strides=(2, 1),
    )


def observer(
    model, *, loader=None, granularity="weight", regrow="criticality", budget="channels", **changes
):
    options = PruneOptions.of(
        sparsity=0.5,
        granularity=granularity,
        regrow=regrow,
        channels=ChannelOptions(budget=budget),
        criticality=CriticalityOptions(**changes),
    )
    return EventObserver(
        model,
        options,
        (4, 8),
        trace(model, torch.zeros(1, 1, 8, 8)),
        time_steps=T,
        batches=loader,
        layout="sequence",
    )


def observations(made):
    return made.observations({}, torch.Generator())


def batch(seed):
    return torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def run(model, seed):
    return forward(model, batch(seed), time_steps=T)


def same(one, two):
    return all(torch.equal(one[n].score, two[n].score) for n in one)


def test_the_batches_just_before_the_event_are_scored():
    model = net().train()
    one, window = observer(model), observer(model, batches=2)
    for step in range(4):
        one.arm_if_due(step)
        window.arm_if_due(step)
        run(model, step)
    last, two = observations(one).stats, observations(window).stats
    assert {n: s.samples for n, s in last.items()} == {"body.spike1": 5, "body.spike2": 5}
    assert {n: s.samples for n, s in two.items()} == {"body.spike1": 10, "body.spike2": 10}
    one.arm_if_due(3)
    run(model, 3)
    assert same(observations(one).stats, last)


def test_a_loader_is_scored_in_eval_mode_and_the_net_left_at_rest():
    model = net().train()
    inputs = [batch(0), (batch(1), torch.zeros(5))]
    loader = observer(model, loader=inputs, score_on="train-set")
    assert loader.active
    assert not loader.on_training
    loader.arm_if_due(3)
    found = observations(loader).stats
    expected = score_loader(
        model, inputs, PAPER, time_steps=T, forward=lambda x: forward(model, x, time_steps=T)
    )
    assert same(found, expected)
    assert all(module.training for module in model.modules())
    observations(loader)
    nodes = [m for m in model.modules() if isinstance(m, neuron.LIFNode)]
    assert all(node.v == 0.0 for node in nodes)  # not the state of the loader's last batch


@pytest.mark.parametrize(
    ("granularity", "regrow", "budget", "active"),
    [
        ("weight", "criticality", "channels", True),
        ("weight", "random", "synops", False),
        ("weight", "none", "channels", False),
        ("channel", "none", "channels", False),
        ("channel", "none", "synops", True),
    ],
)
def test_only_what_an_event_needs_is_observed(granularity, regrow, budget, active):
    model = net()
    made = observer(model, granularity=granularity, regrow=regrow, budget=budget)
    assert made.active is active
    made.arm_if_due(3)
    armed = any(m._forward_pre_hooks for m in model.modules())
    assert armed is active
    if not active:
        assert observations(made).stats == {}
        assert made.state_dict() == {}
        made.load_state_dict({})
    made.disarm()
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_gradients_and_generator_are_handed_on():
    generator, gradients = torch.Generator(), {"stem.conv.weight": torch.ones(2)}
    seen = observer(net(), regrow="gradient").observations(gradients, generator)
    assert seen.generator is generator
    assert seen.gradients is gradients
    assert (seen.stats, seen.operands, seen.measured) == ({}, {}, {})


@pytest.mark.parametrize("score_on", ["train-batch", "train-set"])
def test_operands_are_counted_per_sample_for_a_budget_of_synops(score_on):
    model = net().train()
    made = observer(
        model,
        granularity="channel",
        regrow="none",
        budget="synops",
        score_on=score_on,
        loader=[batch(3)],
    )
    made.arm_if_due(3)
    run(model, 3)
    seen = observations(made)
    # The image is read at each of T steps by every place of a 3 x 3 kernel, less at the borders.
    reads = seen.operands["stem.conv"]
    assert reads.shape == model.stem.conv.weight.shape[1:]
    assert float(reads[0, 1, 1]) == T * 64 / model.stem.conv.stride[0] ** 2
    assert next(iter(seen.stats.values())).samples == 5


def test_a_window_in_two_pieces_is_one():
    model = net().train()
    whole, first, second = (observer(model, batches=2) for _ in range(3))
    for made in (whole, first):
        made.arm_if_due(2)
    run(model, 2)
    second.load_state_dict(first.state_dict())
    first.disarm()
    run(model, 3)
    assert same(observations(second).stats, observations(whole).stats)


def test_curves_are_only_checked_where_they_are_used():
    class Flat(torch.nn.Module):
        def forward(self, x):
            return (x >= 0).to(x) + 0 * x

    model = net()
    model.body.spike2.surrogate_function = Flat()
    observer(model, regrow="none")
    for score_on in ("train-batch", "train-set"):
        with pytest.raises(ConfigError, match=r"body\.spike2"):
            observer(model, loader=[batch(0)], score_on=score_on)
    observer(model, curve="atan")


def test_a_window_that_does_not_fit_between_events_is_refused():
    with pytest.raises(ConfigError, match=r"batches = 5 does not fit.*4 steps apart"):
        observer(net(), batches=5)


def test_a_loader_that_is_missing_is_refused():
    with pytest.raises(ConfigError, match=r"needs score_batches.*or use score_on='train-batch'"):
        observer(net(), score_on="train-set")


def test_an_event_without_observations_fails_and_leaves_nothing():
    model = net()
    made = observer(model)
    made.arm_if_due(3)
    with pytest.raises(ObservationError, match="training mode"):
        observations(made)
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_a_state_without_the_counts_that_a_budget_needs_is_refused():
    made = observer(net(), granularity="channel", regrow="none", budget="synops")
    state = made.state_dict()
    del state["reads"]
    with pytest.raises(RunError, match="lacks the operands counted for the budget of operations"):
        made.load_state_dict(state)


def test_spike_functions_are_watched_for_potentials_and_operands_at_once():
    model, x = States().train(), torch.rand(5, 12)
    wiring = trace(model, x[:2], time_steps=STEPS)
    options = PruneOptions.of(sparsity=0.5, budget="synops", regrow="criticality")
    parts = {"time_steps": STEPS, "batches": None, "layout": wiring.layout}
    made = EventObserver(model, options, (1,), wiring, **parts)
    made.arm_if_due(0)
    model(x)
    seen = observations(made)
    assert {len(stats.score) for stats in seen.stats.values()} == {24, 16}
    assert torch.equal(seen.operands["fc1"], (x != 0).double().mean(0) * STEPS)
    rates = {len(stats.rate): stats.rate for stats in seen.stats.values()}
    torch.testing.assert_close(seen.operands["fc2"].float(), STEPS * rates[24])
