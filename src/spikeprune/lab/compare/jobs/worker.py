"""Runs cells, each in a process of its own; `main` is what a worker process does.

A worker reads jobs from its standard input, one JSON object a line, and answers each with the exit
code of its run. For every job it forks: what is slow to import is imported once, while each cell
has memory, threads and a death of its own. A cell ends at once when its worker or the driver, who
holds the other end of the standard input, is gone: a run can be gone on with, whatever stopped it.
"""

import importlib
import json
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from spikeprune.errors import BusyError, SpikePruneError
from spikeprune.lab.run.locks import is_held
from spikeprune.lab.run.progress.display import PlainDisplay
from spikeprune.lab.run.run import run
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig

# What a run imports on its way; seconds that are spent once per worker instead of once per cell.
_AHEAD = (
    *("torch._dynamo", "torch.utils.tensorboard", "sklearn.datasets"),
    *("jinja2", "markupsafe", "plotly.offline"),
)
DONE, FAILED, BUSY = 0, 1, 75  # the last as in sysexits.h: try again later


def run_cell(values: Mapping[str, Any], log: Path) -> int:
    """Run a cell and return DONE, FAILED, or BUSY where another process is at work on it.

    Args:
        values: fields of the cell's `RunConfig`.
        log: file that what the run tells is added to; the reason of a failure is its last line.
    """
    config = RunConfig.from_dict(dict(values))
    if is_held(RunFolder(config.folder).config):
        return BUSY
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as stream:
        display = PlainDisplay(stream)
        display.message(f"process {os.getpid()}")
        try:
            run(config, display=display)
        except BusyError:
            return BUSY
        except SpikePruneError as error:
            display.message(f"error: {error}")
            return FAILED
        except Exception:  # a bug, or no memory: the other cells go on
            traceback.print_exc(file=stream)
            return FAILED
    return DONE


def _end_with(*ends: int) -> None:
    """End this process, from a thread, when one of these pipes has been closed."""

    def watch() -> None:
        select.select(ends, [], [])
        os._exit(FAILED)

    threading.Thread(target=watch, daemon=True).start()


def _cell(job: Mapping[str, Any], worker: int) -> NoReturn:
    """Be the process of one cell.

    Args:
        job: `config` and `log` of the cell.
        worker: a pipe that the worker closes by ending.
    """
    log = Path(job["log"])
    code = FAILED
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:  # for what libraries print
            for number in (1, 2):
                os.dup2(stream.fileno(), number)
        _end_with(0, worker)
        code = run_cell(job["config"], log)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _forked(job: Mapping[str, Any], answers: int) -> int:
    """Return the exit code of a cell's process; a signal that killed it is negative."""
    theirs, ours = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        os.close(answers)  # so that the driver sees the worker's end, not the cell's
        _cell(job, theirs)
    os.close(theirs)
    _, status = os.waitpid(child, 0)
    os.close(ours)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    """Run the jobs that come in, one after another, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides what an interrupt ends
    answers = os.dup(1)
    os.dup2(2, 1)  # nothing that a library prints is an answer
    for name in _AHEAD:
        importlib.import_module(name)
    for line in sys.stdin:
        code = _forked(json.loads(line), answers)
        os.write(answers, f"{code}\n".encode())
