"""Every method of the registry: the invariants of its events, resuming, and a whole run."""

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikeprune import zoo
from spikeprune.errors import ConfigError, RunError
from spikeprune.execution.forward import forward
from spikeprune.files import read_json
from spikeprune.lab.run.run import run
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.method_choice import prune_options, resolve
from spikeprune.pruning.criteria.of_weights import SALIENCY
from spikeprune.pruning.method_rows import METHODS
from spikeprune.pruning.pruner import Pruner
from spikeprune.pruning.sources import SOURCES
from spikeprune.science.schedule import density_at, fraction_at
from spikeprune.training.checkpoint import load_tree, save_tree
from spikeprune.training.losses import loss_by_name

pytestmark = pytest.mark.slow

T, STEPS = 2, 8
LOSS = loss_by_name("mean-logits")
ROWS = [(m.name, g) for m in METHODS for g in m.granularities if m.prunes]
WEIGHTS = [name for name, granularity in ROWS if granularity == "weight"]
SPARSE = [m.name for m in METHODS if m.parts.keys() & {"start_saliency"}]
SPARSE += [m.name for m in METHODS if m.parts.get("schedule") == "at-start"]
CHOICES = [{}, {"allocation": "erk"}, {"exclude": ["*2"]}, {"initial_value": "previous"}]


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    """A hundred rounds of measuring take their time."""
    monkeypatch.setitem(SALIENCY, "synflow", replace(SALIENCY["synflow"], rounds=4))


def config(name, granularity="weight", **values):
    made = {"data": "digits", "model": "vgg-small", "method": name, "granularity": granularity}
    return RunConfig.from_dict(made | {"sparsity": 0.6} | values)


def net():
    torch.manual_seed(0)
    shapes = {"classes": 3, "in_channels": 2, "image_size": 6, "time_steps": T}
    return zoo.build("vgg-small", **shapes, widths=(4, 6, 5), strides=(2, 1, 1))


def batch(step):
    generator = torch.Generator().manual_seed(1000 + step)
    x = torch.randn(8, 2, 6, 6, generator=generator)
    return x, torch.randint(3, (8,), generator=generator)


class Loop:
    def __init__(self, name, granularity="weight", **values):
        made = config(name, granularity, **{"every": 2} | values)
        self.options = prune_options(made)
        self.model = net()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        options = {n: getattr(self.options, n) for n in self.options.__dataclass_fields__}
        self.pruner = Pruner(
            self.model,
            self.optimizer,
            torch.zeros(1, 2, 6, 6),
            time_steps=T,
            total_steps=STEPS,
            training_steps=STEPS + 2,
            seed=made.seed,
            **options,
        )

    def begin(self):
        return self.pruner.begin([batch(-1), batch(-2)], LOSS)

    def step(self):
        x, y = batch(self.pruner.steps)
        self.model.train()
        self.optimizer.zero_grad()
        LOSS(forward(self.model, x, time_steps=T), y).backward()
        self.optimizer.step()
        return self.pruner.step()

    def run(self, upto):
        while self.pruner.steps < upto:
            self.step()

    def dead(self):
        tensors = dict(self.model.named_parameters())
        return torch.cat([tensors[n].detach()[~m] for n, m in self.pruner.mask.items()])


def wanted(options, k, n):
    """(live share, share by regrowth) after event k of n, from the definitions."""
    final, initial = 1 - options.sparsity, options.initial_density
    falling = n if options.regrow_until == "pruning" else STEPS // 2
    density = density_at(
        min(k, falling), falling, final, initial=initial, schedule=options.schedule
    )
    if options.schedule == "early-bird":  # too few events to settle
        density = final if k == n else 1.0
    fraction = fraction_at(k, n, options.fraction, schedule=options.fraction_schedule)
    return density, fraction if k else 0.0


@settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(WEIGHTS),
    st.sampled_from([0.5, 0.6, 0.85]),
    st.sampled_from(CHOICES),
)
def test_every_event_of_every_method_holds_the_invariants(name, sparsity, choice):
    loop = Loop(name, sparsity=sparsity, **choice)
    pruner, options = loop.pruner, loop.options
    total, sparse = pruner.mask.total, pruner.event_steps[0] == 0
    rounds = max(1, len(pruner.event_steps) - sparse)
    for k, step in enumerate(pruner.event_steps, start=0 if sparse else 1):
        before = dict(pruner.mask)
        if step:
            loop.run(step - 1)
            event = loop.step()
        else:
            event = loop.begin()
        density, fraction = wanted(options, k, rounds)
        live = round(density * total)
        assert (event.live, pruner.mask.live, event.step) == (live, live, step)
        regrown = {f"{n}.weight": m for n, m in pruner.last_regrown.items()}
        kept = {n: m & ~regrown[n] for n, m in pruner.mask.items()}
        assert all(not (m & ~before[n]).any() for n, m in kept.items())
        if options.latent is not None:  # what exceeds the threshold again comes back
            assert event.regrown == event.dead_and_returned
        elif options.regrow == "none" or not step:
            assert event.regrown == 0
        elif options.fraction_of == "after":
            assert event.regrown <= fraction * live + len(before)
        assert not loop.dead().any()
    loop.run(STEPS + 2)
    assert pruner.finished
    assert not loop.dead().any()
    assert pruner.density == round((1 - sparsity) * total) / total


@pytest.mark.parametrize(("name", "granularity"), ROWS)
def test_resume_equals_no_interruption(name, granularity, tmp_path):
    whole, states = Loop(name, granularity), {}
    whole.begin()
    for step in range(STEPS + 2):
        if step in (0, 1, 3, 4):
            states[step] = tmp_path / str(step)
            parts = {"model": whole.model, "optimizer": whole.optimizer, "pruner": whole.pruner}
            save_tree(states[step], {n: part.state_dict() for n, part in parts.items()})
        whole.step()
    for file in states.values():
        again, saved = Loop(name, granularity), load_tree(file)
        again.model.load_state_dict(saved["model"])
        again.optimizer.load_state_dict(saved["optimizer"])
        again.pruner.load_state_dict(saved["pruner"])
        before = list(again.pruner.events)
        event = again.begin()  # does nothing to a net that has begun
        assert again.pruner.events == ([*before, event] if event else before)
        assert event is None or not before
        again.run(STEPS + 2)
        assert [str(e) for e in again.pruner.events] == [str(e) for e in whole.pruner.events]
        assert again.pruner.mask == whole.pruner.mask
        after = again.model.state_dict()
        assert all(torch.equal(t, after[n]) for n, t in whole.model.state_dict().items())


@pytest.mark.parametrize("name", SPARSE)
def test_a_net_that_starts_sparse_must_be_begun(name):
    loop = Loop(name)
    with pytest.raises(RunError, match=r"starts sparse: call pruner.begin\(\)"):
        loop.step()
    loop = Loop(name)
    if loop.options.saliency in ("snip", "grasp"):
        with pytest.raises(ConfigError, match=r"pruner.begin\(batches, loss\)"):
            loop.pruner.begin()
    assert loop.begin().step == 0
    assert loop.begin() is None


def test_a_start_by_potentials_observes_training_batches_and_leaves_no_trace():
    loop = Loop("rigl", start_saliency="crisis")
    statistics = {n: b.clone() for n, b in loop.model.named_buffers()}
    with pytest.raises(ConfigError, match="measured on training batches"):
        loop.pruner.begin()
    event = loop.begin()
    assert event.live == round(0.4 * loop.pruner.mask.total)
    assert all(torch.equal(b, statistics[n]) for n, b in loop.model.named_buffers())
    loop.run(STEPS)


@pytest.mark.parametrize("name", ["criticality", "granet", "rigl", "ndsnn", "synflow", "crisis"])
def test_a_budget_of_synops_is_met_by_every_method(name):
    loop = Loop(name, budget="synops", sparsity=0.5)
    event = loop.begin()
    loop.run(STEPS)
    events = loop.pruner.events
    assert event is None or (events[0].step, events[0].live) == (0, event.live)
    fraction = loop.pruner.options.fraction
    for before, after in itertools.pairwise(events):  # only regrowth brings weights back
        assert after.live <= (1 + fraction) * before.live
        assert after.kept <= before.live
    for done in events:
        assert done.budget.unit == "synops"
        assert done.budget.cost <= done.budget.allowed <= done.budget.total
    last = events[-1].budget
    assert last.allowed == pytest.approx(0.5 * last.total)


def test_granet_regrows_in_each_layer_to_the_end_of_the_training():
    loop = Loop("granet")
    loop.run(STEPS + 2)
    events = loop.pruner.events
    assert [event.step for event in events] == [2, 4, 6, 8, 10]
    assert [event.live for event in events[3:]] == [events[3].live] * 2
    for event in events:
        fraction = fraction_at(event.event, 5, 0.5, schedule="cosine-to-0.005")
        for row in event.layers.values():
            assert row["regrown"] == int(fraction * row["live"] + 1e-9)
    assert events[3].regrown > 0


def test_zeroed_granet_regrows_in_each_layer_and_less_each_time():
    loop = Loop("granet-zeroed")
    loop.run(STEPS)
    shares = []
    for event in loop.pruner.events:
        fraction = fraction_at(event.event, 4, 0.5, schedule="cosine")
        for row in event.layers.values():
            assert row["regrown"] == int(fraction * row["live"] + 1e-9)
        shares.append(event.regrown / event.live)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.4
    assert shares[-1] == 0


def test_ndsnn_keeps_all_but_a_falling_share_of_what_lived():
    loop = Loop("ndsnn", sparsity=0.8)
    loop.begin()
    loop.run(STEPS)
    before = {n: row["live"] for n, row in loop.pruner.events[0].layers.items()}
    assert loop.pruner.events[0].live == round(0.5 * loop.pruner.mask.total)
    for k, event in enumerate(loop.pruner.events[1:], start=1):
        fraction = fraction_at(k, 4, 0.5, schedule="cosine-to-tenth")
        for name, row in event.layers.items():
            stay = min(row["live"], before[name] - int(fraction * before[name] + 1e-9))
            assert row["live"] - row["regrown"] == stay, (k, name)
        before = {n: row["live"] for n, row in event.layers.items()}


def test_rigl_and_set_keep_the_count_of_every_layer():
    for name in ("rigl", "set"):
        loop = Loop(name)
        loop.begin()
        loop.run(STEPS)
        counts = [{n: r["live"] for n, r in e.layers.items()} for e in loop.pruner.events]
        assert all(count == counts[0] for count in counts)
        moved = [e.regrown for e in loop.pruner.events[1:]]
        per_layer = [{n: r["regrown"] for n, r in e.layers.items()} for e in loop.pruner.events[1:]]
        if name == "set":
            assert per_layer == [{n: int(0.3 * c + 1e-9) for n, c in counts[0].items()}] * 4
        else:
            assert moved == sorted(moved, reverse=True)
            assert moved[-1] == 0


def test_latent_weights_that_come_back_at_the_last_event_keep_their_values():
    loop = Loop("stds")
    loop.run(STEPS - 1)
    latent, live = loop.pruner.granularity.latent, loop.pruner.granularity.live
    assert latent.active
    for name, values in latent.trained.items():
        values[~live[name]] *= 100
    x, y = batch(loop.pruner.steps)
    loop.optimizer.zero_grad()
    LOSS(forward(loop.model.train(), x, time_steps=T), y).backward()
    loop.optimizer.step()
    trained = {n: t.clone() for n, t in latent.trained.items()}
    event = loop.pruner.step()
    assert event.regrown > 10
    assert not latent.active
    for name, values in trained.items():
        weight, mask = loop.pruner.granularity._weights[name].detach(), loop.pruner.mask
        dropped = (values.abs() * ~mask[f"{name}.weight"]).max()
        expected = values.sign() * (values.abs() - dropped).clamp_min(0)
        assert torch.equal(weight, expected * mask[f"{name}.weight"])
        assert torch.equal(weight != 0, mask[f"{name}.weight"])


@pytest.mark.parametrize("granularity", ["weight", "channel"])
def test_an_early_bird_is_drawn_once_and_as_soon_as_it_settles(granularity):
    loop = Loop("early-bird", granularity, every=1, settled_below=0.99)
    loop.run(STEPS + 2)
    pruner = loop.pruner
    assert [event.step for event in pruner.events] == [1, 2, 3, 4, 5]
    assert [event.density for event in pruner.events[:4]] == [1.0] * 4
    assert [event.live for event in pruner.events[:4]] == [pruner.events[0].live] * 4
    assert pruner.events[-1].density == pruner.density <= 0.4 + 1e-3
    assert not loop.dead().any()
    late = Loop("early-bird", granularity, every=1, settled_below=1e-9)
    late.run(STEPS - 1)
    assert not late.pruner.finished
    late.run(STEPS)
    assert late.pruner.events[-1].step == STEPS
    assert late.pruner.density <= 0.4 + 1e-3


@pytest.mark.parametrize("name", ["upr", "upr-rate"])
def test_gates_open_fully_or_close_at_the_last_event(name):
    loop = Loop(name, sparsity=0.5, gate_lr=0.1, gate_penalty=10.0)
    loop.run(STEPS - 1)
    latent = loop.pruner.granularity.latent
    assert not loop.dead().any()
    loop.step()
    for name, values in latent.trained.items():
        weight, mask = loop.pruner.granularity._weights[name].detach(), loop.pruner.mask
        assert torch.equal(weight, values * mask[f"{name}.weight"])
    scores = torch.cat([score.flatten() for score in latent.scores.values()])
    mask = torch.cat([m.flatten() for m in loop.pruner.mask.values()])
    assert scores[mask].min() >= scores[~mask].max()


def test_dead_weights_are_remembered_by_their_last_size():
    loop = Loop("criticality-magnitude", sparsity=0.8)
    weights = loop.pruner.granularity._weights
    remembered = {n: w.detach().abs().clone() for n, w in weights.items()}
    for _ in range(STEPS):
        before = {n: m.clone() for n, m in loop.pruner.granularity.live.items()}
        due = loop.pruner.steps + 1 in loop.pruner.event_steps
        x, y = batch(loop.pruner.steps)
        loop.optimizer.zero_grad()
        LOSS(forward(loop.model.train(), x, time_steps=T), y).backward()
        loop.optimizer.step()
        if due:
            for n, w in weights.items():
                remembered[n] = torch.where(before[n], w.detach().abs(), remembered[n])
        loop.pruner.step()
        if due:
            found = loop.pruner.granularity.last_magnitude
            assert all(torch.equal(found[n], remembered[n]) for n in remembered)
    dead = {n: ~m for n, m in loop.pruner.granularity.live.items()}
    assert all((remembered[n][mask] > 0).any() for n, mask in dead.items() if mask.any())


RUN = {
    "data": "digits",
    "limit": 100,
    "batch_size": 50,
    "threads": 1,
    "sparsity": 0.5,
    "model": "vgg-small",
    "model_args": {"widths": [4, 6], "strides": [2, 1]},
    "time_steps": 2,
    "epochs": {"prune": 3, "finetune": 1},
}


@pytest.mark.parametrize(("name", "granularity"), ROWS)
def test_every_method_runs_from_end_to_end(name, granularity, tmp_path_factory):
    shared = tmp_path_factory.getbasetemp() / "every-method"  # one dense net for all
    out = str(shared / f"{name}-{granularity}")
    made = RunConfig.from_dict(RUN | {"method": name, "granularity": granularity, "out": out})
    report = run(made)
    metrics = read_json(RunFolder(made.folder).metrics)
    assert metrics["method"] == name
    if granularity == "weight":
        assert metrics["pruned"]["density"] <= 0.5 + 1e-2
    else:
        before, after = (metrics["cut"][f"channels_{when}"] for when in ("before", "after"))
        assert sum(before.values()) == 4 + 6
        assert sum(after.values()) <= 0.5 * sum(before.values())
    assert metrics["regrowth"]["events"]
    assert metrics["cost"]["total_epochs"] == 4
    cost, steps = metrics["cost"], 100 * 4  # training steps of one sample
    passes = {"snip": 50, "grasp": 50 * 10 / 3, "synflow": 100 / 2}.get(name, 0)
    if granularity == "weight":
        dense = cost["dense"]["training_flops"]
        assert cost["training_flops"] == pytest.approx(dense * (1 + passes / steps))
    page = report.read_text(encoding="utf-8")
    for key in resolve(made).sources:
        assert SOURCES[key].url in page
