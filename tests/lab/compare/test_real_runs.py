"""The command line on a real grid, with a worker killed on the way."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from spikeprune.cli import main
from spikeprune.lab.compare import load_cells
from spikeprune.lab.run_folder import ComparisonFolder

RUN = "import sys; from spikeprune.cli import main; sys.exit(main())"
FLAGS = [
    *("--data", "digits", "--limit", "200", "--batch_size", "40", "--time_steps", "2"),
    *("--model", "vgg-small", "--model_args.widths", "[4, 8]", "--model_args.strides", "[2, 1]"),
    *("--every", "20", "--epochs.prune", "16", "--epochs.finetune", "1", "--epochs.dense", "2"),
    *("--optimizer.name", "adamw", "--optimizer.lr", "0.02", "--threads", "1"),
    *("--methods", "[magnitude, random-regrow]", "--sparsities", "[0.6]", "--seeds", "[0, 1]"),
]
PAIR = ["--pairs", "[[random-regrow, magnitude]]"]


def kill_once_in(log, process):
    """Kill the process of a cell in the middle of its run."""
    deadline = time.monotonic() + 240
    while True:
        text = log.read_text() if log.is_file() else ""
        if re.search(r"prune +epoch 2/", text):
            break
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(int(re.search(r"process (\d+)", text)[1]), signal.SIGKILL)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A grid of four real runs; one is killed, and the command is given again."""
    folder = ComparisonFolder(tmp_path_factory.mktemp("real") / "study")
    command = ["compare", *FLAGS, *PAIR, "--jobs", "2", "--out", str(folder.path)]
    victim = "digits-vgg-small_magnitude_0.6_seed1"
    first = subprocess.Popen(
        [sys.executable, "-c", RUN, *command],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
    )
    kill_once_in(folder.log(victim), first)
    out, errors = first.communicate(timeout=240)
    assert first.returncode == 1, (out, errors)
    before = {path.parent.name: path.stat() for path in folder.cells.glob("*/metrics.json")}
    table = folder.table("md").read_text()
    assert main(command) == 0
    return folder, victim, out + errors, before, table


def test_a_killed_cell_is_told_and_not_counted(study):
    _, victim, said, before, table = study
    assert f"1 of 4 cells failed ({victim}: killed by SIGKILL)" in said
    assert "the same command tries them again" in said
    assert victim not in before
    assert len(before) == 3
    assert f"{victim} failed: killed by SIGKILL" in table
    assert "| magnitude | 60\u00a0% | 1 |" in table


def test_the_next_call_finishes_it_from_its_last_epoch_and_runs_nothing_else(study):
    folder, victim, _, before, _ = study
    for name, stat in before.items():
        assert (folder.cells / name / "metrics.json").stat().st_mtime_ns == stat.st_mtime_ns
    log = folder.log(victim).read_text()
    assert log.count("prune      epoch 1/17") == 1
    assert log.count("process ") == 2
    assert "failed" not in folder.table("md").read_text()


def test_dense_nets_are_shared_and_drops_are_against_the_own_seed(study):
    folder = study[0]
    cells = load_cells(folder.path)
    assert [(cell.method, cell.seed) for cell in cells] == [
        *(("magnitude", 0), ("magnitude", 1), ("random-regrow", 0), ("random-regrow", 1)),
    ]
    assert len(list((folder.cells / ".dense").iterdir())) == 2
    for one, other in ((0, 2), (1, 3)):
        assert (
            cells[one].values["dense_test_accuracy"] == cells[other].values["dense_test_accuracy"]
        )
    for cell in cells:
        values = cell.values
        assert values["drop"] == values["dense_test_accuracy"] - values["test_accuracy"]
        assert values["sparsity"] >= 0.59
        assert (values["pruning_epochs"], values["total_epochs"]) == (16, 17)
    assert len({tuple(cell.facts.items()) for cell in cells}) == 1


def test_the_results_are_all_there(study):
    folder = study[0]
    for path in (folder.rows, folder.pairs, folder.page, *map(folder.table, ("md", "csv", "tex"))):
        assert path.stat().st_size > 100
    assert len(list(folder.figures.iterdir())) == 4
    assert "random-regrow − magnitude" in folder.table("md").read_text()


def test_a_folder_and_finished_runs_are_compared_without_running(study, capsys, tmp_path):
    folder = study[0]
    page = folder.page.read_bytes()
    folder.page.unlink()
    assert main(["compare", str(folder.path)]) == 0
    assert "random-regrow − magnitude" in capsys.readouterr().out
    assert folder.page.read_bytes() == page
    assert main(["report", str(folder.path)]) == 0
    assert capsys.readouterr().out == f"page: {folder.page}\n"
    runs = [str(cell.folder) for cell in load_cells(folder.path)]
    pair = ["--explore", "[[random-regrow, magnitude]]"]
    assert main(["compare", *runs, *pair, "--out", str(tmp_path / "two")]) == 0
    out = capsys.readouterr().out
    assert "exploratory" in out
    assert (tmp_path / "two" / "compare.html").is_file()
    assert main(["compare", *runs, "--out", str(folder.path)]) == 1
    assert "the folder of a grid" in capsys.readouterr().err
