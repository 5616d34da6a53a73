"""Rounds of iterative magnitude pruning: how they divide the epochs, and a whole run of them."""

from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from spikeprune.errors import ConfigError
from spikeprune.files import read_json, read_rows
from spikeprune.lab.run.progress.display import Silent
from spikeprune.lab.run.run import run
from spikeprune.lab.run.stages import phases
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.imp_rounds import epochs_of, rounds_of
from spikeprune.pruning.rewind import rewind
from spikeprune.science.schedule import density_at
from spikeprune.training.loop import lr_factor

BASE = {
    "data": "digits",
    "limit": 200,
    "batch_size": 40,
    "method": "imp",
    "threads": 1,
    "model": "vgg-small",
    "model_args": {"widths": [4, 8], "strides": [2, 1]},
    "time_steps": 2,
    "sparsity": 0.5,
    "every": 3,  # no effect: rounds make the schedule
    "epochs": {"prune": 4, "finetune": 2},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "imp": {"rounds": 2, "rewind": 1},
}
STEPS = 5  # an epoch


def config(**values):
    return RunConfig.from_dict(BASE | values)


@pytest.mark.parametrize(
    ("sparsity", "drops", "total"), [(0.9569, 11, 3380), (0.9813, 14, 4220), (0.25, 1, 580)]
)
def test_its_own_budget_is_that_of_kim_et_al(sparsity, drops, total):
    # 300 epochs, then 280 a round: rewound to epoch 20 (method, section 6).
    epochs = {"prune": 200, "finetune": 100}
    made = config(sparsity=sparsity, epochs=epochs, imp={"budget": "own"})
    rounds = rounds_of(made)
    assert (rounds.drops, rounds.rewind) == (drops, 20)
    assert rounds.epochs == (300, *[280] * drops)
    assert epochs_of(made) == (total - 280, total)
    final = 1 - sparsity
    densities = [density_at(k, drops, final, schedule="geometric") for k in range(drops + 1)]
    shares = [1 - b / a for a, b in pairwise(densities)]
    assert all(share <= 0.25 + 1e-9 for share in shares)
    assert shares == pytest.approx([shares[0]] * drops)


RUNGS = {  # of Kim et al.: sparsity in per cent by rounds
    **{1: 25.04, 2: 43.71, 3: 57.76, 4: 68.30, 5: 76.20, 6: 82.13, 7: 86.58},
    **{8: 89.91, 9: 92.41, 10: 94.29, 11: 95.69, 12: 96.75, 13: 97.54, 14: 98.13},
}


def counts_of_vgg16():
    """Return the weights of Kim et al.'s VGG-16 that rounds prune, its biases, and all parameters.

    Thirteen 3x3 convolutions with a bias and a BatchNorm each, and a linear classifier of 10.
    """
    widths = [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    weights = sum(9 * a * b for a, b in pairwise([3, *widths])) + 512 * 10
    biases = 2 * sum(widths) + 10
    return weights, biases, weights + biases + sum(widths)


@pytest.mark.parametrize("rounds", RUNGS)
def test_every_rung_of_kim_et_al_takes_its_number_of_rounds(rounds):
    weights, biases, parameters = counts_of_vgg16()
    zeros = weights * (1 - 0.75**rounds) + (biases if rounds == 1 else 0)
    assert 100 * zeros / parameters == pytest.approx(RUNGS[rounds], abs=0.0051)
    epochs = {"prune": 200, "finetune": 100}
    own = {"epochs": epochs, "imp": {"budget": "own"}}
    for sparsity in (RUNGS[rounds] / 100, 1 - 0.75**rounds):
        assert rounds_of(config(sparsity=sparsity, **own)).drops == rounds
    more = config(sparsity=1 - 0.75 ** (rounds + 0.02), **own)
    assert rounds_of(more).drops == rounds + 1


@settings(deadline=None)
@given(
    st.integers(1, 400), st.integers(0, 100), st.floats(0.1, 0.99), st.sampled_from([None, 0, 1])
)
def test_at_an_equal_budget_the_rounds_take_the_epochs_of_other_methods(p, f, sparsity, rewind):
    made = config(sparsity=sparsity, epochs={"prune": p, "finetune": f}, imp={"rewind": rewind})
    try:
        rounds = rounds_of(made)
    except ConfigError:
        assume(False)
    assert rounds.total == p + f == epochs_of(made)[1]
    assert rounds.pruning == epochs_of(made)[0] < rounds.total
    assert min(rounds.epochs) >= 1
    first, last = rounds.epochs[0], rounds.epochs[-1]
    assert rounds.rewind < first
    assert all(count == first - rounds.rewind for count in rounds.epochs[1:-1])
    assert first - rounds.rewind <= last <= first - rounds.rewind + rounds.drops
    ends = rounds.event_steps(7)
    assert ends[-1] == 7 * rounds.pruning
    assert list(ends) == sorted(set(ends))


def test_too_few_epochs_and_impossible_numbers_are_refused():
    with pytest.raises(ConfigError, match=r"14 rounds.*15 trainings.*6 epochs leave 0.*imp.budget"):
        rounds_of(config(sparsity=0.98, imp={}))
    with pytest.raises(ConfigError, match="1 of them rewound to"):
        rounds_of(config(epochs={"prune": 2, "finetune": 0}, imp={"rounds": 3, "rewind": 1}))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"regrow": "random"}, "regrow='random'"),
        ({"regrow_fraction": 0.1}, "regrow_fraction=0.1"),
        ({"schedule": "cubic"}, "schedule='cubic'"),
        ({"initial_density": 0.5}, "initial_density=0.5"),
    ],
)
def test_what_rewinding_does_not_go_with_is_refused_by_name(values, words):
    with pytest.raises(ConfigError, match=f"'imp' drops at the end of each round.*{words}"):
        run(config(**values))


class Stops(Silent):
    """Raises once at the end of each epoch of the pruned net."""

    def __init__(self):
        self.seen = set()

    def epoch(self, row):
        if row["stage"] != "dense" and row["epoch"] not in self.seen:
            self.seen.add(row["epoch"])
            raise RuntimeError(str(row["epoch"]))


TIMES = {"latency_ms", "wall_seconds", "peak_rss_bytes", "seconds", "command"}


def timeless(value):
    if isinstance(value, dict):
        return {key: timeless(v) for key, v in value.items() if key not in TIMES}
    return [timeless(v) for v in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    made = config(out=str(tmp_path_factory.mktemp("imp") / "x"))
    run(made)
    return RunFolder(made.folder)


@pytest.mark.slow
def test_a_run_drops_at_the_end_of_each_round_and_restarts_the_schedule(whole):
    rows = [r for r in read_rows(whole.history) if r["kind"] == "epoch"]
    # 6 epochs in 3 trainings of E, E - 1, E - 1: E = 8 // 3 = 2 and 2 left over for the last.
    assert [r["stage"] for r in rows] == ["prune"] * 3 + ["finetune"] * 3
    trainings = [(0, 2), (1, 2), (1, 4)]  # first epoch of the schedule, its length
    expected = [
        0.1 * lr_factor("cosine", (epoch + (STEPS - 1) / STEPS) / length)
        for start, length in trainings
        for epoch in range(start, length)
    ]
    assert [r["lr"] for r in rows] == pytest.approx(expected)
    metrics = read_json(whole.metrics)
    events = metrics["regrowth"]["events"]
    assert [e["step"] for e in events] == [2 * STEPS, 3 * STEPS]
    size = sum(row["total"] for row in events[0]["layers"].values())
    assert [e["live"] for e in events] == [round(0.5**0.5 * size), round(0.5 * size)]
    assert all(e["regrown"] == 0 for e in events)
    assert (metrics["cost"]["pruning_epochs"], metrics["cost"]["total_epochs"]) == (3, 6)
    dense = metrics["cost"]["dense"]
    assert metrics["cost"]["training_flops"] == pytest.approx(dense["training_flops"])
    assert metrics["cost"]["training_flops_sparse"] < dense["training_flops"]


@pytest.mark.slow
def test_each_round_starts_from_the_early_weights_of_what_lives(whole, tmp_path, monkeypatch):
    early, seen = load_file(whole.checkpoints / "rewind.safetensors"), []

    def watched(pruner, tensors):
        before = {n: t.clone() for n, t in pruner.model.state_dict().items()}
        rewind(pruner, tensors)
        after = {n: t.clone() for n, t in pruner.model.state_dict().items()}
        seen.append((pruner.steps, before, after, dict(pruner.mask)))

    monkeypatch.setattr(phases, "rewind", watched)
    run(config(out=str(tmp_path / "x")))
    assert [steps for steps, *_ in seen] == [2 * STEPS, 3 * STEPS]
    for _, before, after, mask in seen:
        for name, tensor in after.items():
            live = mask.get(name, torch.ones_like(tensor, dtype=torch.bool))
            assert torch.equal(tensor, early[name] * live), name
        assert any(not torch.equal(before[name], tensor) for name, tensor in after.items())


@pytest.mark.slow
def test_an_interruption_after_any_epoch_changes_nothing(whole, tmp_path):
    made, stops = config(out=str(tmp_path / "x")), Stops()
    for _ in range(10):
        try:
            run(made, display=stops)
            break
        except RuntimeError:
            continue
    assert stops.seen == {1, 2, 3, 4, 5, 6}
    folder = RunFolder(made.folder)
    assert timeless(read_json(folder.metrics)) == timeless(read_json(whole.metrics))
    assert [timeless(r) for r in read_rows(folder.history)] == [
        timeless(r) for r in read_rows(whole.history)
    ]
    assert folder.model.read_bytes() == whole.model.read_bytes()
    assert folder.masks.read_bytes() == whole.masks.read_bytes()
