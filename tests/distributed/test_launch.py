"""`spikeprune run` in several processes: one run folder, one output, one error message."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from spikeprune.cli import main
from spikeprune.distributed import launch as processes
from spikeprune.errors import ConfigError, RunError
from spikeprune.inference.saved_net import load, load_masks
from spikeprune.lab.run import run as lab_run
from spikeprune.lab.run.dense_net import dense_key
from spikeprune.lab.settings.config import RunConfig
from spikeprune.training.checkpoint import load_tree

WORKER = Path(__file__).parent / "run_on_ranks.py"
TINY = (
    "run", "--recipe", "smoke", "--limit", "200", "--batch_size", "16", "--every", "4",
    "--epochs.prune", "2", "--epochs.finetune", "1", "--epochs.dense", "1",
)  # fmt: skip
LOADERS = '''
import os, signal
import torch

RANK = int(os.environ.get("RANK", "0"))


class Batches(list):
    """Batches that fail on rank 1, as a test asks, after training has begun."""

    passes = 0

    def __iter__(self):
        self.passes += 1
        for number, batch in enumerate(super().__iter__()):
            if RANK == 1 and self.passes > 4 and number == 1:
                if os.environ.get("ON_RANK_1") == "raise":
                    raise ValueError("the disk of rank 1 is gone")
                if os.environ.get("ON_RANK_1") == "die":
                    os.kill(os.getpid(), signal.SIGKILL)
            yield batch


def loaders(batch_size, seed):
    more = int(os.environ.get("MORE_ON_RANK_1", "0")) * RANK
    ragged = int(os.environ.get("LAST_BATCH", batch_size))
    apart = RANK if os.environ.get("ON_RANK_1") == "shuffle" else 0
    generator = torch.Generator().manual_seed(seed + apart)
    sizes = [batch_size] * (3 + more) + [ragged]
    batches = Batches(
        (torch.rand(n, 1, 8, 8, generator=generator), torch.arange(n) % 2) for n in sizes
    )
    return {"train": batches, "test": batches[:2], "shape": (1, 8, 8), "classes": 2}
'''


@pytest.fixture
def launch(run_ranks, tmp_path):
    """Run the command line in `world` processes: (exit codes, outputs, errors) by rank."""

    def start(*command, world=2, **environment):
        (tmp_path / "loaders.py").write_text(LOADERS)
        store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
        codes, results = run_ranks(
            WORKER,
            world,
            port=store.port,
            folder=str(tmp_path),
            command=list(command),
            environment=environment,
        )
        results = [result or {"out": "", "err": ""} for result in results]
        return codes, [r["out"] for r in results], [r["err"] for r in results]

    return start


def own(*more):
    return (*TINY, "--data", "loaders:loaders", "--out", "own", *more)


def rows(folder):
    lines = (folder / "history.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def test_a_resumed_run_of_two_processes_is_the_uninterrupted_one(launch, tmp_path):
    # Eight batches an epoch, windows of three batches before every fifth step: the first epoch
    # ends inside the second window.
    options = (*TINY, "--criticality.batches", "3", "--every", "5", "--batch_size", "24")
    codes, out, errors = launch(*options, "--out", "whole")
    assert (codes, errors) == ([0, 0], ["", ""])
    assert "2 processes" in out[0]
    assert out[0].strip().endswith("report: whole/report.html")
    assert out[1] == ""
    load(tmp_path / "whole")

    codes, _, errors = launch(*options, "--out", "again", STOP_AFTER="1")
    assert codes == [1, 1]
    assert sorted(errors) == ["", "spikeprune: error: stopped by the test\n"]
    saved = load_tree(tmp_path / "again" / "checkpoints" / "train.safetensors")
    sums = [next(iter(observed["tallies"].values())) for observed in saved["observed"]]
    assert [s["samples"] for s in sums] == [12, 12]  # one batch of the window, a half each
    config = RunConfig.load(tmp_path / "again" / "config.yaml")
    with pytest.raises(RunError, match=r"as many processes as wrote .*, 2, got 1"):
        lab_run.run(dataclasses.replace(config, out=str(tmp_path / "again")))
    assert launch(*options, "--out", "again")[0] == [0, 0]
    assert rows(tmp_path / "again") == rows(tmp_path / "whole")
    assert load_masks(tmp_path / "again") == load_masks(tmp_path / "whole")

    assert main([*options, "--out", str(tmp_path / "one")]) == 0
    two, one = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "one")
    )
    assert (two["processes"], one["processes"]) == (2, 1)
    for name in ("training_flops", "pruning_epochs", "total_epochs"):
        assert two["cost"][name] == one["cost"][name]
    counts = [[(e["live"], e["step"]) for e in m["regrowth"]["events"]] for m in (two, one)]
    assert counts[0] == counts[1]


def test_all_ranks_cut_the_same_channels_and_fine_tune(launch, tmp_path):
    more = ("--granularity", "channel", "--sparsity", "0.5", "--criticality.score_on", "train-set")
    codes, _, errors = launch(*TINY, *more, "--epochs.prune", "1", "--out", "channels")
    assert (codes, errors) == ([0, 0], ["", ""])
    metrics = json.loads((tmp_path / "channels" / "metrics.json").read_text())
    assert sum(metrics["cut"]["channels_after"].values()) == 56
    assert [row["stage"] for row in rows(tmp_path / "channels")] == ["prune", "prune", "finetune"]


def test_every_rank_learns_from_the_same_teacher_under_the_same_penalty(launch, tmp_path):
    more = ("--teacher.weight", "0.7", "--synops_penalty", "0.5", "--precision", "fp32")
    codes, _, errors = launch(*TINY, *more, "--out", "two")
    assert (codes, errors) == ([0, 0], ["", ""])
    assert main([*TINY, *more, "--out", str(tmp_path / "one")]) == 0
    two, one = (json.loads((tmp_path / n / "metrics.json").read_text()) for n in ("two", "one"))
    assert two["cost"]["teacher_flops"] == one["cost"]["teacher_flops"] > 0
    first = [
        next(r["loss"] for r in rows(tmp_path / n) if r["kind"] == "epoch") for n in ("two", "one")
    ]
    assert first[0] == pytest.approx(first[1], rel=0.1)  # each rank normalises its own slice


@pytest.mark.parametrize("how", ["raise", "die"])
def test_a_failing_rank_ends_all_with_one_message(launch, tmp_path, how):
    codes, _, errors = launch(*own(), ON_RANK_1=how)
    assert codes == ([1, 1] if how == "raise" else [1, -9])
    (message,) = [error for error in errors if error]
    if how == "raise":
        assert message.startswith("spikeprune: error: your code failed in ")
        assert "ValueError: the disk of rank 1 is gone; the traceback is in" in message
        assert message.count("\n") == 1
    else:
        start = "spikeprune: error: rank 0 has lost contact with another process"
        assert message.startswith(start)
        assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("environment", "batch_size", "code", "message"),
    [
        ({}, "15", 2, "expected a batch_size that 2 processes can share equally, got 15; use"),
        ({"MORE_ON_RANK_1": "2"}, "16", 1, "(rank 0: (4, 64); rank 1: (6, 96))"),
        ({"LAST_BATCH": "5"}, "16", 1, "expected training batches of a multiple of 2 samples"),
        ({"ON_RANK_1": "shuffle"}, "16", 1, "the first training batch to be the same on all 2"),
    ],
)
def test_data_that_cannot_be_shared_are_refused_before_training(
    launch, tmp_path, environment, batch_size, code, message
):
    codes, _, errors = launch(*own("--batch_size", batch_size), **environment)
    assert code in codes
    assert 0 not in codes
    (error,) = [error for error in errors if error]
    assert message in error
    assert not (tmp_path / "own").exists()


def test_processes_of_different_commands_are_refused(launch):
    codes, _, errors = launch(*TINY, "--seed", "RANK", "--out", "own")
    assert codes == [1, 1]
    (error,) = [error for error in errors if error]
    assert "expected the options to be the same on all 2 ranks, but rank 1 differs" in error


def test_torchrun_starts_the_package(tmp_path):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "spikeprune", *TINY, "--method", "dense", "--out", "run",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report: run/report.html") == 1


def test_the_dense_net_is_shared_only_by_as_many_processes():
    config = RunConfig(data="digits", model="vgg-small")
    keys = [dense_key(config), *(dense_key(config, processes=n) for n in (1, 2, 4))]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_every_process_has_a_cuda_device_of_its_own(monkeypatch):
    monkeypatch.setattr(processes, "world_size", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert processes.local_device("cuda") == torch.device("cuda", 1)
    assert processes.local_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ConfigError, match="2 CUDA device"):
        processes.local_device("cuda")


def test_wrong_usage_is_said_once(launch):
    codes, _, errors = launch("run", "--nonsense", "1")
    assert codes == [2, 2]
    (error,) = [error for error in errors if error]
    assert "nonsense" in error


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, (0, 1)), ({"RANK": "3"}, (0, 1)), ({"RANK": "3", "WORLD_SIZE": "4"}, (3, 4))],
)
def test_a_rank_counts_only_among_several(monkeypatch, environment, expected):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert processes.launched() == expected
