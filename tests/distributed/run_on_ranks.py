"""What every rank does for `test_launch.py`: the command line, as a launcher starts it."""

import json
import os
import sys
import traceback
import warnings
from pathlib import Path

import torch

from spikeprune.cli import main
from spikeprune.errors import RunError
from spikeprune.lab.run.stages.train import TrainStage


def stop_after(epoch):
    """Fail on every rank when the state after an epoch of pruning is saved."""
    save = TrainStage.save

    def saved(self):
        save(self)
        if self.pruner is not None and self.epoch == epoch:
            raise RunError("stopped by the test")

    TrainStage.save = saved


def left_behind():
    """Return the threads of process groups that still live; at the end they abort a process."""
    threads = Path("/proc/self/task").glob("*/comm")  # none but on Linux
    return sorted(name for path in threads if "gloo" in (name := path.read_text().strip()))


if __name__ == "__rank__":
    rank, world, folder = RANK, WORLD, FOLDER  # noqa: F821
    arguments = ARGUMENTS  # noqa: F821
    torch.set_num_threads(1)
    warnings.simplefilter("error", FutureWarning)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(arguments["port"])}
    # The test holds the store, as the agent of torchrun does: no port has to be guessed.
    os.environ |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"}
    os.environ |= arguments.get("environment", {})
    if "STOP_AFTER" in os.environ:
        stop_after(int(os.environ["STOP_AFTER"]))
    os.chdir(arguments["folder"])
    sys.stdout = (folder / f"out{rank}").open("w")
    sys.stderr = (folder / f"err{rank}").open("w")
    try:
        code = main([word.replace("RANK", str(rank)) for word in arguments["command"]])
        if code == 0 and (threads := left_behind()):
            raise RunError(f"threads are left behind: {threads}")
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    texts = [(folder / f"{name}{rank}").read_text() for name in ("out", "err")]
    (folder / f"result{rank}.json").write_text(json.dumps({"out": texts[0], "err": texts[1]}))
    sys.exit(code)
