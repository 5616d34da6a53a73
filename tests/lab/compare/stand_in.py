"""A worker whose runs train nothing: the seed says what happens. Started by the tests.

0: finishes. 1: fails. 2: has a bug. 3: is killed. 4: its worker is killed. 5: runs in another
process. 6: sleeps. From 10: finishes after a moment.
"""

import os
import signal
import sys
import time
from pathlib import Path

from spikeprune.errors import BusyError, RunError
from spikeprune.lab.compare.jobs import worker
from spikeprune.lab.run.locks import held


def run(config, *, display):
    folder = config.folder
    folder.mkdir(parents=True, exist_ok=True)
    config.save(folder / "config.yaml", replace=False)
    display.message(f"seed {config.seed} with {os.environ['OMP_NUM_THREADS']} threads")
    act(config.seed, folder)
    return folder / "report.html"


def act(seed, folder):
    if seed == 1:
        raise RunError("the loss is nan")
    if seed == 2:
        raise ZeroDivisionError("a bug")
    if seed == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == 5:
        raise BusyError("another process is at work")
    if seed in (4, 6):
        (folder / "pids").write_text(f"{os.getpid()} {os.getppid()}")
        if seed == 4:
            os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    with held(folder / "config.yaml", busy):
        if not (folder / "metrics.json").is_file():
            time.sleep(0.3 if seed >= 10 else 0)
            with (folder.parent.parent.parent / "ran.txt").open("a") as ran:
                ran.write(f"{folder.name}\n")
            (folder / "metrics.json").write_text(Path(sys.argv[1]).read_text())
            (folder / "report.html").touch()


def busy():
    raise BusyError("another process is at work")


if __name__ == "__main__":
    worker.run = run
    worker._AHEAD = ()
    worker.main()
