"""Whole runs on a tiny net: the files that they write, and the numbers in them."""

import json

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import spikeprune
from spikeprune.errors import RunError
from spikeprune.files import read_json, read_rows
from spikeprune.inference.saved_net import load_masks
from spikeprune.lab.report.number_words import percent
from spikeprune.lab.report.run_rows import RunMetrics
from spikeprune.lab.run import run as run_module
from spikeprune.lab.run.progress.display import Silent
from spikeprune.lab.run.results.measure import saved_dense
from spikeprune.lab.run.run import run
from spikeprune.lab.run.session import Session
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.measuring.evaluate import evaluate
from spikeprune.training.checkpoint import save_tensors

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

MEASUREMENTS = {
    "test_accuracy", "validation_accuracy", "per_class_accuracy", "parameters",
    "nonzero_parameters", "density", "dense_macs_per_sample", "effective_macs_per_sample",
    "effective_acs_per_sample", "synops_per_sample", "energy_nj_per_sample", "firing_rate",
    "latency_ms", "latency_threads", "first_layer_macs_per_sample", "layers", "silent_neurons",
    "validation_synops_per_sample",
}  # fmt: skip
LAYER = {
    "name", "shape", "density", "firing_rate", "synops", "operand", "value_weighted_acs",
    "dead_channels", "silent_neurons",
}  # fmt: skip
COST = {
    "pruning_epochs", "total_epochs", "training_flops", "training_flops_sparse", "teacher_flops",
    "wall_seconds", "peak_rss_bytes", "dense",
}  # fmt: skip
EVENT = {
    "event", "events", "step", "epoch", "density", "live", "kept", "regrown",
    "dropped_and_returned", "dead_and_returned", "survival", "layers",
}  # fmt: skip
EPOCH = {
    "kind", "stage", "epoch", "epochs", "loss", "validation_accuracy", "density", "lr", "seconds",
}  # fmt: skip


def make(folder, **values):
    return RunConfig.from_dict(BASE | {"out": str(folder)} | values)


def check_measurements(side, classes, samples):
    assert side.keys() - {"warnings"} == MEASUREMENTS  # so short a training may leave it at chance
    shares = (*side["per_class_accuracy"], side["validation_accuracy"], side["firing_rate"])
    for share in (*shares, side["test_accuracy"], side["density"]):
        assert 0 <= share <= 1
    assert len(side["per_class_accuracy"]) == classes
    hits = side["test_accuracy"] * samples
    assert hits == pytest.approx(round(hits))
    assert 0 < side["nonzero_parameters"] <= side["parameters"]
    macs, acs = side["effective_macs_per_sample"], side["effective_acs_per_sample"]
    assert side["synops_per_sample"] == pytest.approx(macs + acs)
    assert side["energy_nj_per_sample"] == pytest.approx((4.6 * macs + 0.9 * acs) / 1000)
    assert macs + acs <= side["dense_macs_per_sample"]
    assert set(side["latency_ms"]) == {"b1", "b32"}
    assert all(value > 0 for value in side["latency_ms"].values())
    assert side["latency_threads"] == 1
    for row in side["layers"]:
        assert row.keys() == LAYER
        assert 0 <= row["density"] <= 1
        assert row["firing_rate"] is None or 0 <= row["firing_rate"] <= 1
        assert row["operand"] in ("spikes", "analog")
        assert 0 <= row["dead_channels"] <= row["shape"][0]
    assert sum(row["synops"] for row in side["layers"]) == pytest.approx(macs + acs)


def check_events(regrowth, steps_per_epoch):
    events = regrowth["events"]
    known = [event["survival"] for event in events if event["survival"] is not None]
    assert regrowth["survival_mean"] == (pytest.approx(sum(known) / len(known)) if known else None)
    for number, event in enumerate(events, start=1):
        assert event.keys() >= EVENT
        assert (event["event"], event["events"]) == (number, len(events))
        assert event["epoch"] == pytest.approx(event["step"] / steps_per_epoch)
        assert event["live"] == event["kept"] + event["regrown"]
        back = event["dropped_and_returned"] + event["dead_and_returned"]
        assert event["regrown"] == back
        for key in ("live", "regrown"):
            assert event[key] == sum(row[key] for row in event["layers"].values())
        assert event["survival"] is None or 0 <= event["survival"] <= 1
    if events:
        assert events[-1]["survival"] is None


def check_metrics(metrics, config):
    assert metrics.keys() == RunMetrics.__annotations__.keys()
    assert metrics["schema"] == 1
    assert metrics["spikeprune"] == spikeprune.__version__
    for key in ("method", "granularity", "time_steps", "seed", "start"):
        assert metrics[key] == getattr(config, key)
    assert (metrics["device"], metrics["threads"]) == ("cpu", 1)
    assert {"python", "torch", "spikingjelly", "spikeprune"} <= metrics["versions"].keys()
    data = metrics["data"]
    assert data.keys() == {"name", "label", "classes", "shape", "kind", "samples"}
    assert data["samples"].keys() == {"train", "validation", "test"}
    assert metrics["model"].keys() == {"name", "arguments"}
    for side in ("dense", "pruned"):
        check_measurements(metrics[side], len(data["classes"]), data["samples"]["test"])
    names = [row["name"] for row in metrics["dense"]["layers"]]
    assert [row["name"] for row in metrics["pruned"]["layers"]] == names
    cost = metrics["cost"]
    assert cost.keys() == COST
    assert cost["dense"].keys() == {"total_epochs", "training_flops", "wall_seconds"}
    assert cost["training_flops_sparse"] <= cost["training_flops"]
    assert cost["wall_seconds"] >= 0
    assert cost["peak_rss_bytes"] > 1e7
    check_events(metrics["regrowth"], data["samples"]["train"] // config.batch_size)
    assert all(isinstance(note, str) for note in metrics["notes"])


def check_history(folder, config):
    rows = read_rows(folder.history)
    assert {row["kind"] for row in rows} <= {"epoch", "event"}
    epochs = [row for row in rows if row["kind"] == "epoch"]
    assert all(row.keys() == EPOCH for row in epochs)
    assert [row["epoch"] for row in epochs] == list(range(1, config.epochs.total + 1))
    stages = ["prune"] * config.epochs.prune + ["finetune"] * config.epochs.finetune
    assert [row["stage"] for row in epochs] == stages
    events = [row for row in rows if row["kind"] == "event"]
    known = read_json(folder.metrics)["regrowth"]["events"]
    assert [row["step"] for row in events] == [row["step"] for row in known]
    dense = read_rows(folder.dense.history)
    assert [row["epoch"] for row in dense] == list(range(1, config.dense_epochs + 1))
    assert {row["stage"] for row in dense} <= {"dense"}


def scalars(folder):
    board = EventAccumulator(str(folder))
    board.Reload()
    return {tag: [(e.step, e.value) for e in board.Scalars(tag)] for tag in board.Tags()["scalars"]}


def check_tensorboard(folder, config):
    rows = [row for row in read_rows(folder.history) if row["kind"] == "epoch"]
    found = scalars(folder.tensorboard)
    assert {"loss", "validation_accuracy", "density", "lr", "event/live"} <= found.keys()
    for name in ("loss", "density"):
        values = [(row["epoch"] * STEPS, pytest.approx(row[name], rel=1e-6)) for row in rows]
        assert found[name] == values
    assert [step for step, _ in found["event/live"]] == [
        row["step"] for row in read_rows(folder.history) if row["kind"] == "event"
    ]
    if config.dense_epochs:
        assert len(scalars(folder.tensorboard / "dense")["loss"]) == config.dense_epochs


def check_loaded(folder, config):
    """The cut net from the folder alone has the accuracy that the metrics say."""
    net = spikeprune.load(folder.path)
    assert not any(module.training for module in net.modules())
    hits = count = 0
    with torch.no_grad():
        for x, y in Session(config).data.test:
            logits = net(x)
            assert torch.equal(logits, net(x))  # every call starts from rest
            hits, count = hits + int((logits.argmax(1) == y).sum()), count + len(y)
    assert hits / count == read_json(folder.metrics)["pruned"]["test_accuracy"]
    assert net.classes == tuple(read_json(folder.metrics)["data"]["classes"])


def check_run(config):
    report, folder = run(config), RunFolder(config.folder)
    metrics = read_json(folder.metrics)
    files = ("config", "metrics", "history", "model", "plan", "masks", "report")
    for file in (*(getattr(folder, name) for name in files), folder.dense.model):
        assert file.stat().st_size > 0, file
    assert report == folder.report
    assert RunConfig.load(folder.config) == config
    check_metrics(metrics, config)
    check_history(folder, config)
    check_tensorboard(folder, config)
    check_loaded(folder, config)
    assert 0 <= metrics["cut"]["masked_vs_cut_max_abs_diff"] < 1e-5
    return metrics


@pytest.mark.parametrize("method", ["criticality", "magnitude", "random-regrow", "gradient-regrow"])
def test_a_weight_run_writes_every_file_and_measures_what_it_says(tmp_path, method):
    metrics = check_run(make(tmp_path / "x", method=method))
    events, pruned = metrics["regrowth"]["events"], metrics["pruned"]
    weights = 4 * 9 + 8 * 4 * 9 + 10 * 8
    assert [event["step"] for event in events] == [2, 4, 6, 8, 10]
    assert events[-1]["live"] == round(0.4 * weights)
    assert pruned["density"] <= events[-1]["density"] == round(0.4 * weights) / weights
    assert metrics["dense"]["density"] == 1
    assert metrics["target"] == {"sparsity": 0.6, "budget": "weights"}
    # The classifier feeds no neuron, so it takes no part in regrowth.
    assert all(event["layers"]["head.classifier"]["regrown"] == 0 for event in events)
    assert all((event["regrown"] > 0) == (method != "magnitude") for event in events)
    assert bool(metrics["criticality"]) == (method == "criticality")
    assert metrics["cost"]["pruning_epochs"] == 2
    assert metrics["cost"]["total_epochs"] == metrics["cost"]["dense"]["total_epochs"] == 3


@pytest.mark.parametrize("method", ["criticality", "slimming", "random-regrow", "random"])
def test_a_channel_run_does_as_well(tmp_path, method):
    config = make(tmp_path / "x", method=method, granularity="channel", regrow_fraction=None)
    metrics = check_run(config)
    (event,) = metrics["regrowth"]["events"]
    assert event["step"] == 2 * STEPS
    assert event["live"] == 4  # 40 % of 12 channels, rounded down
    assert sum(metrics["cut"]["channels_before"].values()) == 12
    assert sum(metrics["cut"]["channels_after"].values()) == 4
    assert metrics["target"]["budget"] == "channels"
    assert any("4 of 12 left" in note for note in metrics["notes"])
    small = metrics["pruned"]
    assert small["parameters"] < metrics["dense"]["parameters"]
    weights = sum(torch.Size(row["shape"]).numel() for row in small["layers"])
    assert small["density"] == weights / (4 * 9 + 8 * 4 * 9 + 10 * 8)
    assert event["density"] == pytest.approx(small["density"])


def test_a_dense_run_hands_over_the_dense_net(tmp_path):
    config = make(tmp_path / "x", method="dense", sparsity=None)
    run(config)
    folder = RunFolder(config.folder)
    metrics = read_json(folder.metrics)
    check_metrics(metrics, config)
    check_loaded(folder, config)
    assert metrics["pruned"] == metrics["dense"]
    assert metrics["regrowth"]["events"] == []
    assert (metrics["cost"]["pruning_epochs"], metrics["cost"]["total_epochs"]) == (0, 3)
    assert folder.report.is_file()
    assert folder.masks.is_file()
    assert read_rows(folder.history) == read_rows(folder.dense.history) != []
    assert len(scalars(folder.tensorboard / "dense")["loss"]) == 3


@pytest.fixture
def checkpoint(tmp_path):
    """The weights of the net of `BASE` after another seed's start."""
    path = tmp_path / "net.safetensors"
    save_tensors(path, Session(make(tmp_path / "other", seed=7)).built().state_dict())
    return path


def test_from_a_checkpoint_the_checkpoint_itself_is_the_net_before(tmp_path, checkpoint):
    config = make(tmp_path / "x", weights=str(checkpoint))
    metrics = check_run(config)
    dense, given = load_file(config.folder / "dense" / "model.safetensors"), load_file(checkpoint)
    assert all(torch.equal(dense[name], tensor) for name, tensor in given.items())
    assert metrics["start"] == "checkpoint"
    assert metrics["cost"]["dense"] == {
        "total_epochs": 0,
        "training_flops": 0,
        "wall_seconds": 0,
    }
    assert any("net.safetensors; dense is that checkpoint" in note for note in metrics["notes"])


def test_a_checkpoint_is_trained_further_where_asked(tmp_path, checkpoint):
    config = make(
        tmp_path / "x",
        weights=str(checkpoint),
        method="dense",
        sparsity=None,
        epochs={"dense": 1, "prune": 0, "finetune": 0},
    )
    run(config)
    metrics = read_json(RunFolder(config.folder).metrics)
    assert metrics["cost"]["total_epochs"] == 1
    assert any("trained for 1 more epochs" in note for note in metrics["notes"])
    dense, given = load_file(config.folder / "dense" / "model.safetensors"), load_file(checkpoint)
    assert not all(torch.equal(dense[name], tensor) for name, tensor in given.items())


def test_a_dense_run_of_a_checkpoint_that_is_not_trained_only_measures_it(tmp_path, checkpoint):
    config = make(tmp_path / "x", weights=str(checkpoint), method="dense", sparsity=None)
    run(config)
    assert read_json(RunFolder(config.folder).metrics)["cost"]["training_flops"] == 0


def test_options_reach_the_pruner(tmp_path):
    metrics = check_run(
        make(
            tmp_path / "x",
            exclude=["stem.*"],
            allocation="uniform",
            limits={"head.*": [0.9, 1.0]},
            schedule="linear",
            initial_value="previous",
            criticality={"space": "mean", "normalise": "layer", "weight": "post*pre", "batches": 2},
            loss="per-step",
        )
    )
    last = metrics["regrowth"]["events"][-1]
    assert last["layers"].keys() == {"body.conv2", "head.classifier"}
    assert last["layers"]["head.classifier"]["live"] >= 0.9 * 80
    assert last["live"] == round(0.4 * (8 * 4 * 9 + 80))
    rows = {row["name"]: row for row in metrics["pruned"]["layers"]}
    assert rows["stem.conv"]["density"] * 36 == rows["stem.conv"]["shape"][0] * 9
    # An excluded layer takes no part in the density.
    live = sum(rows[name]["density"] * last["layers"][name]["total"] for name in last["layers"])
    assert metrics["pruned"]["density"] == pytest.approx(live / (8 * 4 * 9 + 80))


@pytest.mark.parametrize(
    ("budget", "key"), [("parameters", "parameters"), ("macs", "dense_macs_per_sample")]
)
def test_a_channel_budget_is_kept(tmp_path, budget, key):
    config = make(tmp_path / "x", granularity="channel", channels={"budget": budget, "l1": 0.01})
    run(config)
    metrics = read_json(RunFolder(config.folder).metrics)
    assert metrics["pruned"][key] <= 0.4 * metrics["dense"][key] * (1.5 if budget == "macs" else 1)
    assert metrics["target"]["budget"] == budget
    assert any(note.startswith(f"{budget}: ") for note in metrics["notes"])


def test_floors_that_overrule_the_ranking_are_noted(tmp_path):
    low = Session(make(tmp_path / "other")).built().state_dict()
    low["stem.norm.weight"].fill_(0.01)
    save_tensors(tmp_path / "low.safetensors", low)
    config = make(
        tmp_path / "x",
        granularity="channel",
        weights=str(tmp_path / "low.safetensors"),
        channels={"floor": 2},
        optimizer={"lr": 1e-4},
        sparsity=0.5,
    )
    run(config)
    metrics = read_json(RunFolder(config.folder).metrics)
    assert metrics["cut"]["channels_after"] == {"stem.conv": 2, "body.conv2": 4}
    assert any("floors or rounding" in n and "stem.conv +2" in n for n in metrics["notes"])


def write_recordings(folder, per_digit):
    """Recordings in the form of N-MNIST: 5 bytes an event, x, y, polarity and 23 bits of time."""
    draw = torch.Generator().manual_seed(0)
    for half, count in (("Train", per_digit), ("Test", 1)):
        for digit in range(10):
            (folder / half / str(digit)).mkdir(parents=True)
            for number in range(count):
                x = torch.randint(3 * digit, 3 * digit + 5, (60,), generator=draw)
                y, sign = (torch.randint(0, n, (60,), generator=draw) for n in (34, 2))
                time = torch.randint(0, 300_000, (60,), generator=draw).sort().values
                rows = torch.stack([x, y, sign << 7 | time >> 16, time >> 8 & 255, time & 255], 1)
                path = folder / half / str(digit) / f"{number:05}.bin"
                path.write_bytes(bytes(rows.flatten().tolist()))


@pytest.mark.parametrize("granularity", ["weight", "channel"])
def test_event_recordings_end_to_end(tmp_path, monkeypatch, granularity):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_recordings(tmp_path / "recordings", per_digit=6)
    config = make(
        tmp_path / "x",
        data="nmnist",
        data_root=str(tmp_path / "recordings"),
        image_size=12,
        time_steps=3,
        batch_size=10,
        augment=[],
        limit=None,
        binning="count",
        granularity=granularity,
    )
    metrics = check_run(config)
    assert metrics["data"]["kind"] == "events"
    assert metrics["data"]["samples"] == {"train": 54, "validation": 6, "test": 10}
    assert metrics["static_first_layer"] is False
    first = metrics["dense"]["first_layer_macs_per_sample"]
    assert first["static"] is None
    assert first["every_step"] == metrics["dense"]["layers"][0]["synops"] > 0
    # Frames are not 0 or 1: the first layer multiplies.
    assert metrics["dense"]["layers"][0]["operand"] == "analog"


# -- cost ---------------------------------------------------------------------------------------


# 4x4 positions, then the classifier, over two time steps; the first layer computes one of them.
MACS_ONCE = 16 * 4 * 9 + 2 * (16 * 8 * 4 * 9 + 80)


def test_training_flops_are_the_closed_form(tmp_path):
    config = make(tmp_path / "x")
    metrics = check_run(config)
    macs = MACS_ONCE
    steps = 3 * STEPS
    cost = metrics["cost"]
    dense = 2 * macs * config.batch_size * 3 * steps
    assert cost["training_flops"] == cost["dense"]["training_flops"] == dense
    # At the density of each step: forward and input gradient scale, the weight gradient does not.
    sparse, live = 0.0, 1.0
    positions = {"stem.conv": 16, "body.conv2": 2 * 16, "head.classifier": 2}
    after = {
        event["step"]: sum(positions[n] * row["live"] for n, row in event["layers"].items()) / macs
        for event in metrics["regrowth"]["events"]
    }
    for step in range(1, steps + 1):
        sparse += 2 * macs * config.batch_size * (1 + 2 * live)
        live = after.get(step, live)
    assert cost["training_flops_sparse"] == pytest.approx(sparse)


def test_scoring_a_loader_costs_its_forward_passes(tmp_path):
    plain = check_run(make(tmp_path / "x"))["cost"]
    scored = check_run(make(tmp_path / "y", criticality={"score_on": "train-set"}))["cost"]
    events, samples = 5, 200
    extra = 2 * MACS_ONCE * samples * events
    assert scored["training_flops"] == plain["training_flops"] + extra
    assert scored["training_flops_sparse"] < scored["training_flops"]


def test_the_report_can_be_made_from_the_folder_alone(tmp_path):
    config = make(tmp_path / "x")
    run(config)
    text = RunFolder(config.folder).report.read_text()
    assert "vgg-small on scikit-learn digits" in text
    assert json.dumps(read_json(RunFolder(config.folder).metrics)["method"])[1:-1] in text


@pytest.mark.parametrize("granularity", ["weight", "channel"])
def test_the_memory_layout_is_a_matter_of_speed(tmp_path, granularity):
    """On this net both layouts give the same masks; sums may differ in the last digits."""
    masks = []
    for name, value in (("a", True), ("b", False)):
        same = {"granularity": granularity, "device": "auto", "precision": "fp32"}
        config = make(tmp_path / name, channels_last=value, **same)
        run(config)
        masks.append(load_masks(config.folder))
    assert masks[0] == masks[1]


def test_a_notice_is_shown_once(tmp_path, monkeypatch):
    class Heard(Silent):
        messages = ()

        def message(self, text):
            self.messages += (text,)

    monkeypatch.setattr("spikeprune.lab.run.compute.has_bf16", lambda device: False)
    display = Heard()
    values = {"method": "dense", "sparsity": None, "epochs": {"dense": 1}, "precision": "bf16"}
    run(make(tmp_path / "x", **values), display=display)
    assert sum("without instructions" in text for text in display.messages) == 1
    assert read_json(tmp_path / "x" / "metrics.json")["precision"] == "bf16"


def test_run_needs_no_display(tmp_path, capsys):
    run(make(tmp_path / "x", epochs={"prune": 1, "finetune": 0}))
    assert capsys.readouterr().out == ""


def test_a_machine_that_does_not_see_the_run_folder_is_refused(monkeypatch, tmp_path):
    naps = []
    monkeypatch.setattr(run_module.time, "sleep", naps.append)
    with pytest.raises(RunError, match="all machines share"):
        run_module._require_shared(RunFolder(tmp_path / "elsewhere"))
    assert sum(naps) == 60


def test_a_penalty_on_firing_is_in_the_loss_of_the_pruned_net_only(tmp_path):
    plain, penalised = (
        make(tmp_path / name, method="magnitude", rate_penalty=weight)
        for name, weight in (("plain", 0.0), ("penalised", 5.0))
    )
    run(plain)
    run(penalised)  # shares the dense net of the other
    one, two = (read_rows(RunFolder(c.folder).history) for c in (plain, penalised))
    assert one[0]["stage"] == two[0]["stage"] == "prune"
    first = [next(r["loss"] for r in rows if r["kind"] == "epoch") for rows in (one, two)]
    assert first[1] > first[0] + 5 * 0.01
    dense = [RunFolder(c.folder).dense.history.read_bytes() for c in (plain, penalised)]
    assert dense[0] == dense[1]
    rates = [
        read_json(RunFolder(c.folder).metrics)["pruned"]["firing_rate"] for c in (plain, penalised)
    ]
    assert rates[1] < rates[0]


def test_a_budget_of_synops_is_told_with_its_gap(tmp_path):
    made = make(tmp_path / "x", budget="synops", method="random-regrow")
    run(made)
    metrics = read_json(RunFolder(made.folder).metrics)
    assert metrics["target"] == {"sparsity": 0.6, "budget": "synops"}
    details = metrics["regrowth"]["events"][-1]["details"]
    assert details["cost"] <= details["allowed"] == pytest.approx(0.4 * details["total"])
    # A share of what the dense net takes: here all training samples are counted, none of the test.
    session = Session(made)
    dense = evaluate(
        saved_dense(session, RunFolder(made.folder)),
        session.data.score,
        time_steps=2,
        wiring=session.wiring,
        classes=10,
        latency=False,
    )
    assert details["total"] == pytest.approx(dense.synops_per_sample)
    assert details["total"] != pytest.approx(metrics["dense"]["synops_per_sample"])
    assert any("synops: " in note and "below the budget" in note for note in metrics["notes"])
    share = metrics["pruned"]["synops_per_sample"] / metrics["dense"]["synops_per_sample"]
    said = f"takes {percent(share)} of the dense net's SynOps on the test set, where {percent(0.4)}"
    assert any(said in note for note in metrics["notes"])


def test_two_budgets_are_told_and_energy_is_that_of_the_evaluation(tmp_path):
    made = make(tmp_path / "x", budget="energy", within={"weights": 0.5}, method="lamp")
    run(made)
    metrics = read_json(RunFolder(made.folder).metrics)
    assert metrics["target"] == {"sparsity": 0.6, "budget": "energy", "within": {"weights": 0.5}}
    details = metrics["regrowth"]["events"][-1]["details"]
    (second,) = details["within"]
    for use, share in ((details, 0.4), (second, 0.5)):
        assert use["cost"] <= use["allowed"] == pytest.approx(share * use["total"])
    assert max(use["cost"] / use["allowed"] for use in (details, second)) > 0.9
    pruned, dense = (metrics[net]["energy_nj_per_sample"] for net in ("pruned", "dense"))
    said = f"takes {percent(pruned / dense)} of the dense net's energy on the test set"
    assert any(said in note for note in metrics["notes"])
    assert any(note.startswith("weights: ") for note in metrics["notes"])
