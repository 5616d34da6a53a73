"""The pruning stage, for weights and for channels: its net, its masks and its cost."""

import pytest
import torch

from spikeprune.errors import RunError
from spikeprune.files import read_rows
from spikeprune.lab.run.progress.display import Silent
from spikeprune.lab.run.progress.tracker import Tracker
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages import prune as module
from spikeprune.lab.run.stages.prune import prune
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig
from spikeprune.training.checkpoint import save_tensors

STEPS = 5  # an epoch
WEIGHTS = {"stem.conv": 4 * 9, "body.conv2": 8 * 4 * 9, "head.classifier": 8 * 10}
# Of a sample over two time steps, of which the first layer computes one.
POSITIONS = {"stem.conv": 16, "body.conv2": 2 * 16, "head.classifier": 2}


def pruned(folder, display=None, **values):
    base = {
        "data": "digits",
        "limit": 100,
        "batch_size": 20,
        "sparsity": 0.6,
        "every": 2,
        "model": "vgg-small",
        "model_args": {"widths": [4, 8], "strides": [2, 1]},
        "time_steps": 2,
        "epochs": {"prune": 2, "finetune": 1},
        "threads": 1,
    }
    session, files = Session(RunConfig.from_dict(base | values)), RunFolder(folder)
    save_tensors(files.dense.model, session.built().state_dict())  # in place of a trained one
    tracker = Tracker(files.history, None, Silent(), steps_per_epoch=STEPS)
    return prune(session, files, tracker, display or Silent()), files


def places(files):
    rows = [row for row in read_rows(files.history) if row["kind"] == "epoch"]
    return [(row["stage"], row["epoch"], row["epochs"]) for row in rows]


def test_weights_are_pruned_and_fine_tuned_before_the_cut(tmp_path):
    found, files = pruned(tmp_path)
    total = sum(WEIGHTS.values())
    assert found.full_mask.live == round(0.4 * total)
    assert {name: mask.numel() for name, mask in found.full_mask.items()} == {
        f"{name}.weight": count for name, count in WEIGHTS.items()
    }
    assert [path.name for path in files.checkpoints.iterdir()] == ["train.safetensors"]
    assert places(files) == [("prune", 1, 3), ("prune", 2, 3), ("finetune", 3, 3)]
    macs = sum(POSITIONS[name] * count for name, count in WEIGHTS.items())
    assert found.cost.flops == 6 * 100 * 3 * macs
    assert found.cut.difference < 1e-5


def test_channels_are_cut_before_they_are_fine_tuned(tmp_path):
    found, files = pruned(tmp_path, granularity="channel")
    assert sum(found.cut.before.values()) == 12
    assert sum(found.cut.after.values()) == 4  # 40 % of 12 channels, rounded down
    assert {path.name for path in files.checkpoints.iterdir()} == {
        "prune.safetensors",
        "finetune.safetensors",
    }
    assert places(files) == [("prune", 1, 2), ("prune", 2, 2), ("finetune", 3, 3)]
    # The smaller net costs less to train.
    full = sum(POSITIONS[name] * count for name, count in WEIGHTS.items())
    small = found.cut.model.state_dict()
    kept = sum(POSITIONS[name] * small[f"{name}.weight"].numel() for name in WEIGHTS)
    assert found.cost.flops == 6 * 100 * (2 * full + kept)
    density = sum(small[f"{name}.weight"].numel() for name in WEIGHTS) / sum(WEIGHTS.values())
    assert read_rows(files.history)[-1]["density"] == pytest.approx(density)


def test_a_stage_that_is_called_again_only_cuts_again(tmp_path):
    for granularity in ("weight", "channel"):
        first, files = pruned(tmp_path / granularity, granularity=granularity)
        rows = read_rows(files.history)
        again, _ = pruned(tmp_path / granularity, granularity=granularity)
        assert read_rows(files.history) == rows
        assert again.full_mask == first.full_mask
        assert again.cost == first.cost
        one, other = (found.cut.model.state_dict() for found in (first, again))
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_ranks_that_cut_differently_are_refused(tmp_path, monkeypatch):
    def require(what, value, advice):
        raise RunError(f"{what}: {advice}")

    monkeypatch.setattr(module, "require_same", require)
    with pytest.raises(RunError, match="what was cut: please report this"):
        pruned(tmp_path)


def dense_macs(samples):
    return samples * sum(POSITIONS[name] * count for name, count in WEIGHTS.items())


@pytest.mark.parametrize("granularity", ["weight", "channel"])
def test_the_teacher_s_forward_passes_are_in_the_cost_of_every_stage(tmp_path, granularity):
    taught, files = pruned(tmp_path / "a", granularity=granularity, teacher={"weight": 0.7})
    alone, _ = pruned(tmp_path / "b", granularity=granularity)
    passes = 2 * dense_macs(3 * 100)  # of the uncut net in all three epochs
    assert (taught.cost.flops_teacher, alone.cost.flops_teacher) == (passes, 0)
    if granularity == "weight":  # another net, cut otherwise, costs something else itself
        assert taught.cost.flops == alone.cost.flops + passes
    own = taught.cost.flops_sparse - passes
    assert own <= taught.cost.flops - passes
    losses = [row["loss"] for row in read_rows(files.history) if row["kind"] == "epoch"]
    _, plain = pruned(tmp_path / "b", granularity=granularity)
    others = [row["loss"] for row in read_rows(plain.history) if row["kind"] == "epoch"]
    assert all(one != other for one, other in zip(losses, others, strict=True))


def test_a_quieter_net_keeps_more_weights_at_the_same_budget_of_synops(tmp_path):
    """Every event measures what a weight costs then; the budget is that of the dense net."""
    live, budgets = {}, {}
    for weight in (0.0, 1.0):
        found, _ = pruned(
            tmp_path / str(weight),
            method="magnitude",
            budget="synops",
            sparsity=0.8,
            exclude=["stem.conv"],  # whose operands are the image's
            synops_penalty=weight,
            epochs={"prune": 6, "finetune": 0},
            optimizer={"lr": 0.02},
        )
        use = found.pruner.events[-1].budget
        live[weight], budgets[weight] = found.full_mask.live, use.allowed
        assert 0.7 * use.allowed < use.cost <= use.allowed  # neither net is silent
    assert budgets[0.0] == budgets[1.0]
    assert live[1.0] > 1.5 * live[0.0]


def test_the_cut_net_is_fine_tuned_under_the_penalty_on_its_synops(tmp_path):
    losses = []
    for weight in (0.0, 50.0):
        _, files = pruned(
            tmp_path / str(weight),
            granularity="channel",
            synops_penalty=weight,
            epochs={"prune": 1, "finetune": 1},
        )
        rows = [row for row in read_rows(files.history) if row["kind"] == "epoch"]
        losses.append([row["loss"] for row in rows])
    (pruning, tuning), (penalised, tuned) = losses
    assert penalised > pruning + 5
    assert tuned > tuning + 0.1
