import pytest
import torch

from spikeprune.errors import RunError
from spikeprune.files import read_rows
from spikeprune.lab.run.progress.display import Silent
from spikeprune.lab.run.progress.tracker import Tracker
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.phases import Phase
from spikeprune.lab.run.stages.train import fit
from spikeprune.lab.run.stages.training_cost import TrainingCost
from spikeprune.lab.settings.config import RunConfig
from spikeprune.training.checkpoint import load_tree
from spikeprune.training.loop import count_hits, lr_factor

STEPS = 5


def config(**values):
    base = {
        **{"data": "digits", "limit": 100, "batch_size": 20, "sparsity": 0.5, "every": 2},
        **{"model": "vgg-small", "model_args": {"widths": [4], "strides": [2]}, "time_steps": 2},
        "epochs": {"prune": 2, "finetune": 1},
    }
    return RunConfig.from_dict(base | values)


class Rates(Silent):
    """Notes the learning rate of every step."""

    def __init__(self):
        self.rates, self.optimizer = [], None

    def step(self, step, steps, *, epoch, epochs, loss):
        self.rates.append(self.optimizer.param_groups[0]["lr"])


def trained(folder, phases, *, values=None, display=None, **more):
    session = Session(config(**(values or {})))
    model = session.model()
    optimizer = session.optimizer(model)
    if isinstance(display, Rates):
        display.optimizer = optimizer
    tracker = Tracker(
        folder / "history.jsonl", None, display or Silent(), steps_per_epoch=session.steps_per_epoch
    )
    spent = fit(
        session,
        model,
        phases,
        optimizer=optimizer,
        pruner=more.pop("pruner", lambda *_: None)(session, model, optimizer),
        tracker=tracker,
        checkpoint=folder / "state.safetensors",
        **more,
    )
    return model, spent, read_rows(folder / "history.jsonl")


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
    assert [(row["stage"], row["epoch"], row["epochs"]) for row in rows] == [
        *(("prune", 1, 3), ("prune", 2, 3), ("finetune", 3, 3))
    ]


def test_a_later_stage_counts_on_and_tells_its_own_density_and_cost(tmp_path):
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
    start = Session(config()).model().state_dict()
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
    model, spent, _ = trained(
        tmp_path,
        [Phase("prune", 2)],
        pruner=lambda session, model, optimizer: session.pruner(model, optimizer),
    )
    state = load_tree(tmp_path / "state.safetensors")
    own = {"epoch", "model", "optimizer", "pruner", "rng", "rows", "spent"}
    assert state.keys() == own | {"processes", "observed"}
    assert (state["processes"], len(state["observed"])) == (1, 1)
    assert state["epoch"] == 2
    assert state["rows"] == 2 + len(state["pruner"]["events"])
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
    start = Session(config()).model().state_dict()
    assert all(torch.equal(state["model"][n], t) for n, t in start.items())
    assert state["epoch"] == 0


def test_costs_add_up():
    assert TrainingCost(1, 2, 3).plus(TrainingCost(10, 20, 30)) == TrainingCost(11, 22, 33)
