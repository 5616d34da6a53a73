import pytest
import torch

from spikeprune.errors import RunError
from spikeprune.files import read_rows
from spikeprune.lab.run.progress.display import Silent
from spikeprune.lab.run.progress.tracker import Tracker
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages import train as module
from spikeprune.lab.run.stages.phases import Phase
from spikeprune.lab.run.stages.train import TrainStage
from spikeprune.lab.run.stages.training_cost import TrainingCost
from spikeprune.lab.settings.config import RunConfig
from spikeprune.training.checkpoint import load_tree
from spikeprune.training.loop import count_hits, lr_factor

STEPS = 5


def config(**values):
    base = {
        "data": "digits",
        "limit": 100,
        "batch_size": 20,
        "sparsity": 0.5,
        "every": 2,
        "model": "vgg-small",
        "model_args": {"widths": [4], "strides": [2]},
        "time_steps": 2,
        "epochs": {"prune": 2, "finetune": 1},
    }
    return RunConfig.from_dict(base | values)


class Rates(Silent):
    """Notes the learning rate of every step."""

    def __init__(self):
        self.rates, self.optimizer = [], None

    def step(self, step, steps, *, epoch, epochs, loss):
        self.rates.append(self.optimizer.param_groups[0]["lr"])


def trained(folder, phases, *, values=None, display=None, prunes=False, **more):
    session = Session(config(**(values or {})))
    model = session.built()
    optimizer = session.optimizer(model)
    if isinstance(display, Rates):
        display.optimizer = optimizer
    history = folder / "history.jsonl"
    cost = TrainStage(
        session=session,
        model=model,
        phases=phases,
        optimizer=optimizer,
        pruner=session.pruner(model, optimizer) if prunes else None,
        tracker=Tracker(
            history, None, display or Silent(), steps_per_epoch=session.steps_per_epoch
        ),
        checkpoint=folder / "state.safetensors",
        **more,
    ).run()
    return model, cost, read_rows(history)


@pytest.mark.parametrize("schedule", ["cosine", "step", "onecycle", "constant"])
def test_one_learning_rate_schedule_runs_over_all_phases(tmp_path, schedule):
    values = {"optimizer": {"lr": 0.02, "schedule": schedule}}
    display = Rates()
    phases = [Phase("prune", 2), Phase("finetune", 1)]
    _, _, rows = trained(tmp_path, phases, values=values, display=display)
    total = 3 * STEPS
    assert display.rates == [
        pytest.approx(0.02 * lr_factor(schedule, step / total)) for step in range(total)
    ]
    assert [row["lr"] for row in rows] == [display.rates[n] for n in (4, 9, 14)]
    places = [(row["stage"], row["epoch"], row["epochs"]) for row in rows]
    assert places == [("prune", 1, 3), ("prune", 2, 3), ("finetune", 3, 3)]


def test_a_later_stage_counts_on_and_has_the_density_and_cost_of_its_net(tmp_path):
    options = {"first_epoch": 2, "density": 0.3, "macs_share": 0.5}
    _, spent, rows = trained(tmp_path, [Phase("finetune", 1)], **options)
    assert [(row["epoch"], row["epochs"], row["density"]) for row in rows] == [(3, 3, 0.3)]
    _, full, _ = trained(tmp_path / "full", [Phase("finetune", 1)])
    assert spent.flops == full.flops / 2 == spent.flops_sparse
    assert spent.seconds == pytest.approx(rows[0]["seconds"])


def test_the_epoch_of_the_whole_run_chooses_the_shuffling(tmp_path):
    one, _, _ = trained(tmp_path / "a", [Phase("finetune", 1)], first_epoch=0)
    two, _, _ = trained(tmp_path / "b", [Phase("finetune", 1)], first_epoch=1)
    again, _, _ = trained(tmp_path / "c", [Phase("finetune", 1)], first_epoch=1)
    weight = "stem.conv.weight"
    assert not torch.equal(one.state_dict()[weight], two.state_dict()[weight])
    assert torch.equal(two.state_dict()[weight], again.state_dict()[weight])


def test_curves_are_recorded_and_change_nothing(tmp_path):
    plain, _, before = trained(tmp_path / "plain", [Phase("finetune", 2)])
    curved, _, after = trained(tmp_path / "curved", [Phase("finetune", 2)], curves=True)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, curved.state_dict()[name]), name
    assert [row["loss"] for row in before] == [row["loss"] for row in after]
    assert not any("test_accuracy" in row for row in before)
    session = Session(config())
    for part, data in (("train", session.data.score), ("test", session.data.test)):
        hits, count = count_hits(curved, data, forward=session.forward(curved))
        assert after[-1][f"{part}_accuracy"] == hits / count


def test_no_epochs_change_nothing(tmp_path):
    model, spent, rows = trained(tmp_path, [Phase("dense", 0)])
    start = Session(config()).built().state_dict()
    assert all(torch.equal(tensor, start[name]) for name, tensor in model.state_dict().items())
    assert (spent, rows) == (TrainingCost(), [])


def test_a_finished_stage_is_not_trained_again_and_keeps_later_rows(tmp_path):
    model, spent, rows = trained(tmp_path, [Phase("prune", 2)])
    later = rows[-1] | {"stage": "finetune", "epoch": 3}
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write(f"{later}\n".replace("'", '"'))
    again, same, kept = trained(tmp_path, [Phase("prune", 2)])
    assert same == spent
    assert kept == [*rows, later]
    assert all(torch.equal(t, again.state_dict()[n]) for n, t in model.state_dict().items())


def test_a_checkpoint_holds_all_of_the_state(tmp_path):
    model, spent, _ = trained(tmp_path, [Phase("prune", 2)], prunes=True)
    state = load_tree(tmp_path / "state.safetensors")
    own = {"epoch", "model", "optimizer", "pruner", "rng", "history", "spent"}
    assert state.keys() == own | {"processes", "observed"}
    assert (state["processes"], len(state["observed"])) == (1, 1)
    assert state["epoch"] == 2
    rows = state["history"].numpy().tobytes().decode().splitlines()
    assert len(rows) == 2 + len(state["pruner"]["events"])
    assert state["spent"] == vars(spent)
    assert all(torch.equal(state["model"][n], t) for n, t in model.state_dict().items())
    assert state["rng"].keys() == {"cpu"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_generator_of_the_gpu_is_part_of_the_state(tmp_path):
    trained(tmp_path, [Phase("dense", 1)], values={"device": "cuda"})
    state = load_tree(tmp_path / "state.safetensors")
    assert state["rng"].keys() == {"cpu", "cuda"}
    trained(tmp_path, [Phase("dense", 2)], values={"device": "cuda"})


def test_a_failing_first_epoch_leaves_the_start(tmp_path):
    class Nan(Rates):
        def step(self, step, steps, *, epoch, epochs, loss):
            self.optimizer.param_groups[0]["params"][0].data.fill_(float("inf"))

    with pytest.raises(RunError, match=r"Saved state: .*state\.safetensors"):
        trained(tmp_path, [Phase("dense", 1)], display=Nan())
    state = load_tree(tmp_path / "state.safetensors")
    start = Session(config()).built().state_dict()
    assert all(torch.equal(state["model"][n], t) for n, t in start.items())
    assert state["epoch"] == 0


@pytest.mark.parametrize("prunes", [False, True])
def test_every_step_costs_its_flops_at_the_density_before_its_event(tmp_path, prunes):
    _, cost, rows = trained(tmp_path, [Phase("prune", 1)], prunes=prunes)
    # Of 2 time steps, of which the first layer computes one: 3x3 kernels to 4 channels at 4x4
    # positions; 4 inputs to 10 classes in both.
    positions = {"stem.conv": 16, "head.classifier": 2}
    macs = 16 * 4 * 9 + 2 * 4 * 10
    per_density = 2 * macs * 20  # samples
    assert cost.flops == 3 * per_density * STEPS
    live, expected = 1.0, 0.0
    after = {
        row["step"]: sum(positions[n] * layer["live"] for n, layer in row["layers"].items()) / macs
        for row in rows
        if row["kind"] == "event"
    }
    assert bool(after) is prunes
    for step in range(1, STEPS + 1):
        # The forward pass and the gradient of the input scale, the weight gradient does not.
        expected += per_density * (1 + 2 * live)
        live = after.get(step, live)
    assert cost.flops_sparse == pytest.approx(expected)


def test_an_event_is_recorded_between_the_epochs_at_its_fraction(tmp_path):
    _, _, rows = trained(tmp_path, [Phase("prune", 2)], prunes=True)
    events = [(row["step"], row["epoch"]) for row in rows if row["kind"] == "event"]
    assert events == [(step, pytest.approx(step / STEPS)) for step in (2, 4, 6, 8, 10)]
    kinds = [row["kind"] for row in rows]
    assert kinds == ["event", "event", "epoch", "event", "event", "event", "epoch"]


def test_another_number_of_processes_is_refused(tmp_path, monkeypatch):
    trained(tmp_path, [Phase("dense", 1)])
    tree = load_tree(tmp_path / "state.safetensors")
    monkeypatch.setattr(module, "load_tree", lambda _: tree | {"processes": 4})
    with pytest.raises(RunError, match=r"wrote .*, 4, got 1; .*--nproc-per-node 4"):
        trained(tmp_path, [Phase("dense", 1)])
