"""Interrupted, finished, failed and foreign runs: what goes on, and what stays as it is."""

from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spikeprune.cli import main
from spikeprune.errors import RunError
from spikeprune.files import read_json, read_rows
from spikeprune.lab.run import session as session_module
from spikeprune.lab.run.locks import held
from spikeprune.lab.run.progress.display import Silent
from spikeprune.lab.run.run import run
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages import train as module_of_training
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.manifest import write_manifest
from spikeprune.training.checkpoint import load_tree

pytestmark = pytest.mark.slow

BASE = {
    "data": "digits",
    "limit": 200,
    "batch_size": 40,
    "augment": ["crop"],
    "model": "vgg-small",
    "model_args": {"widths": [4, 8], "strides": [2, 1]},
    "time_steps": 2,
    "sparsity": 0.6,
    "every": 2,
    "epochs": {"prune": 2, "finetune": 1},
    "optimizer": {"name": "adamw", "lr": 0.02},
    "threads": 1,
}
STEPS = 5  # an epoch


def make(folder, **values):
    return RunConfig.from_dict(BASE | {"out": str(folder)} | values)


class Told(Silent):
    """Remembers the stages of a run."""

    def __init__(self):
        self.stages = []

    def stage(self, name, detail=""):
        self.stages.append(name)


def snapshot(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def scalars(folder):
    board = EventAccumulator(str(folder))
    board.Reload()
    return {tag: [(e.step, e.value) for e in board.Scalars(tag)] for tag in board.Tags()["scalars"]}


class Stops(Silent):
    """Raises once at each of the given points, or at every point (None) that it comes by."""

    def __init__(self, points=None, error=RuntimeError):
        self.points, self.error, self.seen, self.stages = points, error, set(), []

    def _pass(self, *point):
        if point in self.seen or (self.points is not None and point not in self.points):
            return
        self.seen.add(point)
        raise self.error(str(point))

    def stage(self, name, detail=""):
        # Two stages have one name: of the dense and of the pruned net.
        self._pass("stage", f"{name} {detail}" if name == "evaluate" else name)

    def step(self, step, steps, *, epoch, epochs, loss):
        if step == 3:
            self._pass("step", epoch, epochs)

    def epoch(self, row):
        self._pass("epoch", row["stage"], row["epoch"])

    def event(self, row):
        self._pass("event", row["event"])


TIMES = {"latency_ms", "event_driven", "wall_seconds", "peak_rss_bytes", "seconds", "command"}


def timeless(value):
    if isinstance(value, dict):
        return {key: timeless(v) for key, v in value.items() if key not in TIMES}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def results(folder):
    return {
        "metrics": timeless(read_json(folder.metrics)),
        "history": [timeless(row) for row in read_rows(folder.history)],
        "dense": [timeless(row) for row in read_rows(folder.dense.history)],
        "tensorboard": {k: v for k, v in scalars(folder.tensorboard).items() if k != "seconds"},
        **{name: getattr(folder, name).read_bytes() for name in ("model", "masks", "plan")},
    }


@pytest.fixture(scope="module", params=["weight", "channel"])
def whole(request, tmp_path_factory):
    """The granularity and the results of a run of `BASE` without interruption."""
    config = make(tmp_path_factory.mktemp("whole") / "x", granularity=request.param)
    run(config)
    return request.param, results(RunFolder(config.folder))


TAUGHT = {"teacher": {"weight": 0.7}, "synops_penalty": 0.5}


@pytest.mark.parametrize(
    ("granularity", "more"), [("weight", {}), ("channel", {}), ("weight", TAUGHT)]
)
def test_a_run_that_is_stopped_again_and_again_gives_the_same_result(tmp_path, granularity, more):
    criticality = {"batches": 2, "score_on": "train-batch"}
    values = {"granularity": granularity, "criticality": criticality, **more}
    values["epochs"] = {"prune": 2, "finetune": 2}
    whole = make(tmp_path / "whole" / "x", **values)
    run(whole)
    display, config = Stops(), make(tmp_path / "torn" / "x", **values)
    for attempt in range(200):
        display.error = KeyboardInterrupt if attempt % 2 else RuntimeError
        try:
            run(config, display=display)
            break
        except (KeyboardInterrupt, RuntimeError):
            continue
    stops = {point[:2] for point in display.seen}
    assert {
        ("stage", n) for n in ("prepare", "dense", "prune", "finetune", "cut", "report")
    } < stops
    assert {("stage", f"evaluate {n}") for n in ("dense", "pruned")} < stops
    assert {("epoch", n) for n in ("dense", "prune", "finetune")} < stops
    assert ("event", 1) in stops
    one, other = results(RunFolder(whole.folder)), results(RunFolder(config.folder))
    for name, value in one.items():
        assert other[name] == value, name


def test_dropout_and_shuffling_of_a_users_own_go_on_as_well(tmp_path, monkeypatch):
    """What a net or loader draws from torch's own generator is part of the state."""
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "from torch.utils.data import DataLoader, TensorDataset\n"
        "from torch import nn\n"
        "from spikingjelly.activation_based import functional, layer, neuron\n"
        "def net(classes):\n"
        "    model = nn.Sequential(layer.Conv2d(1, 4, 3, bias=False), layer.BatchNorm2d(4),\n"
        "        neuron.IFNode(), layer.Flatten(), layer.Dropout(0.5),\n"
        "        layer.Linear(144, classes))\n"
        "    functional.set_step_mode(model, 'm')\n"
        "    return model\n"
        "def loaders(seed):\n"
        "    draw = torch.Generator().manual_seed(0)\n"
        "    x = torch.rand(120, 1, 8, 8, generator=draw)\n"
        "    parts = TensorDataset(x, (x.mean((1, 2, 3)) > 0.5).long())\n"
        "    train = DataLoader(parts, batch_size=25, shuffle=True)\n"
        "    return train, None, DataLoader(parts, batch_size=50), (1, 8, 8), 2\n"
    )
    monkeypatch.chdir(tmp_path)
    own = {"model": "mine:net", "data": "mine:loaders", "model_args": {}, "batch_size": 25}
    whole = make(tmp_path / "whole" / "x", **own)
    metrics = run(whole).parent / "metrics.json"
    config = make(tmp_path / "torn" / "x", **own)
    display = Stops({("step", 2, 3), ("event", 3), ("epoch", "prune", 2)}, KeyboardInterrupt)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            run(config, display=display)
    torch.rand(3)  # whatever else the process draws
    run(config, display=display)
    assert results(RunFolder(whole.folder)) == results(RunFolder(config.folder))
    # No validation set, and a last batch of 20: both are told as they are.
    found = read_json(metrics)
    assert found["dense"]["validation_accuracy"] is None
    macs = 36 * 4 * 9 + 2 * 144 * 2  # the first layer computes one of two time steps
    assert found["cost"]["dense"]["training_flops"] == 6 * macs * 120 * 3


def test_the_command_line_goes_on_with_a_run_that_was_interrupted(
    tmp_path, monkeypatch, capsys, whole
):
    granularity, expected = whole
    config = make(tmp_path / "x", granularity=granularity)
    config.save(tmp_path / "mine.yaml")
    display = Stops({("epoch", "prune", 2)}, KeyboardInterrupt)
    monkeypatch.setattr("spikeprune.commands.run.make_display", lambda: display)
    assert main(["run", "--recipe", str(tmp_path / "mine.yaml")]) == 130
    assert "the same command goes on with the run" in capsys.readouterr().err
    assert main(["run", "--recipe", str(tmp_path / "mine.yaml")]) == 0
    assert results(RunFolder(config.folder)) == expected


def test_a_run_that_another_process_works_on_is_left_alone(tmp_path):
    config = make(tmp_path / "x")
    with pytest.raises(KeyboardInterrupt):
        run(config, display=Stops({("epoch", "prune", 1)}, KeyboardInterrupt))
    before = snapshot(tmp_path)
    with (
        held(RunFolder(config.folder).config, busy=lambda: None),
        pytest.raises(RunError, match="another process is at work"),
    ):
        run(config)
    assert snapshot(tmp_path) == before
    run(config)


def test_a_finished_run_is_only_reported_again(tmp_path, monkeypatch):
    config = make(tmp_path / "x")
    folder = RunFolder(config.folder)
    run(config)
    before = snapshot(tmp_path)
    monkeypatch.setattr(module_of_training, "train_epoch", None)  # nothing is trained
    folder.report.unlink()
    told = Told()
    assert run(config, display=told) == folder.report
    assert told.stages == ["report"]
    assert snapshot(tmp_path) == before


def test_a_stage_starts_again_where_its_checkpoint_was_deleted(tmp_path, whole):
    granularity, expected = whole
    config = make(tmp_path / "x", granularity=granularity)
    with pytest.raises(RuntimeError):
        run(config, display=Stops({("epoch", "prune", 2)}))
    (checkpoint,) = (config.folder / "checkpoints").iterdir()
    checkpoint.unlink()
    run(config)
    assert results(RunFolder(config.folder)) == expected


def test_a_torn_checkpoint_says_what_to_do(tmp_path):
    config = make(tmp_path / "x")
    with pytest.raises(RuntimeError):
        run(config, display=Stops({("epoch", "prune", 2)}))
    checkpoint = config.folder / "checkpoints" / "train.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"train\.safetensors.*delete it"):
        run(config)


# -- refusals and failures ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "foreign", [{"notes.txt": "mine"}, {"config.yaml": "not: [a, run"}, {"config.yaml": None}]
)
def test_a_folder_that_holds_something_else_is_refused_and_untouched(tmp_path, foreign):
    config = make(tmp_path / "x")
    config.folder.mkdir()
    for name, text in foreign.items():
        if text is None:
            make(tmp_path / "x", sparsity=0.7).save(config.folder / name)
        else:
            (config.folder / name).write_text(text)
    before = snapshot(tmp_path)
    with pytest.raises(RunError, match=r"give another --out|new folder as --out"):
        run(config)
    assert snapshot(tmp_path) == before


def test_a_finished_run_is_not_overwritten_by_another(tmp_path):
    run(make(tmp_path / "x"))
    before = snapshot(tmp_path)
    with pytest.raises(RunError, match=r"different run.*sparsity: 0\.6 there, 0\.7 now"):
        run(make(tmp_path / "x", sparsity=0.7))
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("text", [None, "\xff", "sparsity: 0.7"])
def test_lost_options_of_a_finished_run_are_said_to_be_lost(tmp_path, text):
    config = make(tmp_path / "x")
    config.folder.mkdir()
    config.save(config.folder / "config.yaml")
    write_manifest(config.folder, ["config.yaml"], {})
    (config.folder / "config.yaml").unlink()
    if text is not None:
        (config.folder / "config.yaml").write_text(text, encoding="latin-1")
    before = snapshot(tmp_path)
    with pytest.raises(RunError, match=r"yaml (is missing|has \d+ bytes).*put config"):
        run(config)
    assert snapshot(tmp_path) == before


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    told = Told()
    with pytest.raises(RunError, match="Not a directory; give a folder instead"):
        run(make(tmp_path / "file" / "x"), display=told)
    assert told.stages == ["prepare"]


def failing(monkeypatch, after, value):
    """Let the loss become `value` after so many training steps of this process."""
    count, by_name = 0, session_module.loss_by_name

    def loss_by_name(name):
        def loss(logits, target):
            nonlocal count
            count += torch.is_grad_enabled()
            return by_name(name)(logits, target) * (value if count > after else 1.0)

        return loss

    monkeypatch.setattr(session_module, "loss_by_name", loss_by_name)


@pytest.mark.parametrize(
    ("after", "stage", "epoch"),
    [
        (1 + 3, "dense", 0),  # one step is the preflight's
        (1 + 2 * STEPS + 3, "dense", 2),
        (1 + 3 * STEPS + 3, "prune", 0),
        (1 + 5 * STEPS + 3, "finetune", 2),
    ],
)
def test_a_loss_that_is_not_finite_stops_with_the_last_good_state_saved(
    tmp_path, monkeypatch, after, stage, epoch, whole
):
    granularity, expected = whole
    config = make(tmp_path / "x", granularity=granularity)
    failing(monkeypatch, after, float("nan"))
    with pytest.raises(RunError, match="the loss is nan") as error:
        run(config)
    path = str(error.value).rpartition("Saved state: ")[2]
    cut = stage == "finetune" and granularity == "channel"
    state = load_tree(Path(path))
    assert state["epoch"] == (0 if cut else epoch)
    assert all(tensor.isfinite().all() for tensor in state["model"].values())
    if not cut:
        Session(config).built().load_state_dict(state["model"])
    assert not RunFolder(config.folder).metrics.exists()
    # Once the cause is mended the run goes on from there.
    monkeypatch.undo()
    run(config)
    assert results(RunFolder(config.folder)) == expected


def test_weights_that_the_last_step_broke_do_not_replace_the_good_state(tmp_path, monkeypatch):
    """Spikes hide NaN: the loss of the epoch was finite throughout."""
    real, count = torch.optim.AdamW.step, 0

    def step(self, closure=None):
        nonlocal count
        count += 1
        real(self, closure)
        if count == 2 * STEPS:
            with torch.no_grad():
                self.param_groups[0]["params"][0].fill_(float("nan"))

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    config = make(tmp_path / "x")
    with pytest.raises(RunError, match=r"stem\.conv\.weight' .* finite .* after epoch 2") as error:
        run(config)
    state = load_tree(Path(str(error.value).rpartition("Saved state: ")[2]))
    assert state["epoch"] == 1
    assert all(tensor.isfinite().all() for tensor in state["model"].values())


def test_a_learning_rate_out_of_all_bounds_stops_the_run(tmp_path):
    config = make(tmp_path / "x", optimizer={"name": "sgd", "lr": 1e6, "schedule": "constant"})
    with pytest.raises(RunError, match="Saved state: ") as error:
        run(config)
    state = load_tree(Path(str(error.value).rpartition("Saved state: ")[2]))
    assert all(tensor.isfinite().all() for tensor in state["model"].values())
