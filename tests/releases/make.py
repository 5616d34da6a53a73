"""Write a folder of finished and half-finished runs as this version writes them, to be kept.

`python -m tests.releases.make` writes `tests/releases/<version>/` in about a minute. Each release
keeps its own folder for good; `tests/test_releases.py` opens all of them with every later version.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

import spikeprune

RELEASES = Path(__file__).parent
HALF = "half"

NET = ["--model_args.widths", "[8, 16]", "--model_args.strides", "[2, 2]", "--time_steps", "2"]
TRAINING = ["--limit", "640", "--epochs.prune", "2", "--epochs.finetune", "2", "--every", "6"]
MACHINE = ["--device", "cpu", "--precision", "fp32", "--compile", "off", "--threads", "1"]
COMMON = ["--recipe", "smoke", *NET, *TRAINING, *MACHINE]
RUNS = {
    "weights": [],
    "channels": ["--granularity", "channel", "--sparsity", "0.5"],
    "dense": ["--method", "dense"],
    HALF: ["--seed", "1"],  # another seed than `weights`, so that its dense net is its own
}
GRID = ["--methods", "[magnitude, criticality-ranked]", "--sparsities", "[0.8]", "--seeds", "[0]"]
PAIRS = ["--pairs", "[[criticality-ranked, magnitude]]", "--jobs", "1"]
LEFT_OUT = (".dense", "report.html", "compare.html", "tensorboard", "figures", "logs", ".lock")
"""Large, or of no use to a later version, which makes them anew."""


def command(name):
    """Return the arguments of the run called `name`, as they were when its folder was written."""
    return ["run", *COMMON, *RUNS[name], "--out", name]


def start(arguments, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "spikeprune", *arguments],
        **{"cwd": folder, "env": os.environ | {"OMP_NUM_THREADS": "1"}, "text": True},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT},
    )


def finish(arguments, folder):
    with start(arguments, folder) as process:
        said = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(said)


def went_on(history):
    """Whether a run has written a row after its first epoch, whose checkpoint is whole by then."""
    text = history.read_text(encoding="utf-8") if history.is_file() else ""
    kinds = [
        json.loads(line)["kind"] for line in text.splitlines(keepends=True) if line[-1] == "\n"
    ]
    return "epoch" in kinds[:-1]


def stop_half_way(base):
    """Kill the run `half` in its second epoch of pruning."""
    history = base / HALF / "history.jsonl"
    with start(command(HALF), base) as process:
        while process.poll() is None:
            if went_on(history):
                process.kill()
            time.sleep(0.001)
    if (base / HALF / "metrics.json").exists() or not went_on(history):
        raise RuntimeError("the run was not stopped in its second epoch; make it again")


def logits(folder):
    """Return what the net of a run says to two fixed inputs, `[2, K]`."""
    inputs = torch.linspace(-1, 1, 128).reshape(2, 1, 8, 8)
    with torch.no_grad():
        return spikeprune.load(folder)(inputs).tolist()


def make(base):
    """Write all folders into `base`, without what a release does not keep."""
    finished = [name for name in RUNS if name != HALF]
    for name in finished:
        finish(command(name), base)
    finish(["compare", *COMMON, *GRID, *PAIRS, "--out", "comparison"], base)
    for path in list(base.rglob("checkpoints")):  # of finished runs, which do without
        shutil.rmtree(path)
    stop_half_way(base)
    answers = {name: logits(base / name) for name in finished}
    (base / "logits.json").write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")
    for path in [path for name in LEFT_OUT for path in base.rglob(name)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def main():
    target = RELEASES / spikeprune.__version__
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)
    print("wrote", target)


if __name__ == "__main__":
    main()
