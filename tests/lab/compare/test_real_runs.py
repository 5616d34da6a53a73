"""The command line on a real grid, with a worker killed on the way."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from spikeprune.cli import main
from spikeprune.lab.compare import load_cells
from spikeprune.lab.run_folder import ComparisonFolder

RUN = "import sys; from spikeprune.cli import main; sys.exit(main())"
COMMAND = shlex.split(
    "compare --data digits --limit 200 --batch_size 40 --time_steps 2 "
    "--model vgg-small --model_args.widths '[4, 8]' --model_args.strides '[2, 1]' "
    "--every 20 --epochs.prune 16 --epochs.finetune 1 --epochs.dense 2 "
    "--optimizer.name adamw --optimizer.lr 0.02 --threads 1 --jobs 2 "
    "--methods '[magnitude, random-regrow]' --sparsities '[0.6]' --seeds '[0, 1]' "
    "--pairs '[[random-regrow, magnitude]]'"
)
VICTIM = "digits-vgg-small_magnitude_0.6_seed1"


def kill_once_in(log, process):
    """Kill the process of a run in its second epoch."""
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
    """Four real runs, one of them killed, and what the command given again made of them.

    No test changes the folder.
    """
    folder = ComparisonFolder(tmp_path_factory.mktemp("real") / "study")
    command = [*COMMAND, "--out", str(folder.path)]
    first = subprocess.Popen(
        [sys.executable, "-c", RUN, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    kill_once_in(folder.log(VICTIM), first)
    out, errors = first.communicate(timeout=240)
    assert first.returncode == 1, (out, errors)
    before = {
        path.parent.name: path.stat().st_mtime_ns for path in folder.cells.glob("*/metrics.json")
    }
    table = folder.table("md").read_text()
    assert main(command) == 0
    return SimpleNamespace(folder=folder, output=out + errors, before=before, table=table)


def test_a_killed_run_is_named_and_not_counted(study):
    assert f"1 of 4 cells failed ({VICTIM}: killed by SIGKILL)" in study.output
    assert "the same command tries them again" in study.output
    assert VICTIM not in study.before
    assert len(study.before) == 3
    assert f"{VICTIM} failed: killed by SIGKILL" in study.table
    # So short a training may leave the nets at chance, which marks the row.
    assert re.search(r"\| magnitude( \[!\])? \| 60\u00a0% \| 1 \|", study.table)


def test_the_next_call_finishes_it_from_its_last_epoch_and_runs_nothing_else(study):
    folder = study.folder
    for name, written in study.before.items():
        assert (folder.cells / name / "metrics.json").stat().st_mtime_ns == written
    log = folder.log(VICTIM).read_text()
    assert log.count("prune      epoch 1/17") == 1
    assert log.count("process ") == 2
    assert "failed" not in folder.table("md").read_text()


def test_dense_nets_are_shared_and_drops_are_against_the_own_seed(study):
    folder = study.folder
    cells = load_cells(folder.path)
    assert [(cell.method, cell.seed) for cell in cells] == [
        ("magnitude", 0),
        ("magnitude", 1),
        ("random-regrow", 0),
        ("random-regrow", 1),
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
    folder = study.folder
    tables = [folder.table(kind) for kind in ("md", "csv", "tex")]
    for path in (folder.rows, folder.pairs, folder.page, *tables):
        assert path.stat().st_size > 100
    assert len(list(folder.figures.iterdir())) == 8
    assert "random-regrow − magnitude" in folder.table("md").read_text()


def test_a_folder_is_written_again_without_running(study, capsys, tmp_path):
    folder = ComparisonFolder(shutil.copytree(study.folder.path, tmp_path / "copy"))
    page = folder.page.read_bytes()
    folder.page.unlink()
    assert main(["compare", str(folder.path)]) == 0
    assert "random-regrow − magnitude" in capsys.readouterr().out
    assert folder.page.read_bytes() == page
    assert main(["report", str(folder.path)]) == 0
    assert capsys.readouterr().out == f"page: {folder.page}\n"


def test_finished_runs_are_compared_in_another_folder(study, capsys, tmp_path):
    runs = [str(cell.folder) for cell in load_cells(study.folder.path)]
    pair = ["--explore", "[[random-regrow, magnitude]]"]
    assert main(["compare", *runs, *pair, "--out", str(tmp_path / "two")]) == 0
    assert "exploratory" in capsys.readouterr().out
    assert (tmp_path / "two" / "compare.html").is_file()
    assert main(["compare", *runs, "--out", str(study.folder.path)]) == 1
    assert "the folder of a grid" in capsys.readouterr().err
