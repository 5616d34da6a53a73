"""The worker process: it runs jobs, each in a process of its own.

It reads jobs from its standard input, one JSON object per line, and answers with exit codes. It
forks for every job: imports are made once, while each run can be killed alone. A run ends at once
when its worker or the driver (the other end of the standard input) dies; the next call resumes it.
"""

import importlib
import json
import os
import signal
import sys
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
from spikeprune.stop import end_with

# Slow modules that runs import: seconds once per worker instead of once per job.
_AHEAD = (
    "torch._dynamo",
    "torch.utils.tensorboard",
    "sklearn.datasets",
    "jinja2",
    "markupsafe",
    "plotly.offline",
)
DONE, FAILED, BUSY = 0, 1, 75  # the last as in sysexits.h: try again later


def run_cell(values: Mapping[str, Any], log: Path) -> int:
    """Run one job; return DONE, FAILED (the log ends with the reason), or BUSY (runs elsewhere)."""
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
        except Exception:  # a bug, or no memory: the other jobs go on
            traceback.print_exc(file=stream)
            return FAILED
    return DONE


def _cell(job: Mapping[str, Any], worker: int) -> NoReturn:
    """Run one job in its own process, and exit; the pipe `worker` closes when the worker dies."""
    log = Path(job["log"])
    code = FAILED
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:  # libraries print too
            for number in (1, 2):
                os.dup2(stream.fileno(), number)
        end_with(0, worker)
        code = run_cell(job["config"], log)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _forked(job: Mapping[str, Any], answers: int) -> int:
    """Run a job in a forked process; return its exit code, negative for a signal."""
    theirs, ours = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        os.close(answers)  # else the driver would not see the end of the worker
        _cell(job, theirs)
    os.close(theirs)
    _, status = os.waitpid(child, 0)
    os.close(ours)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    """Run the jobs from the standard input one after another, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides what an interrupt ends
    answers = os.dup(1)
    os.dup2(2, 1)  # so that prints of libraries are not taken for answers
    for name in _AHEAD:
        importlib.import_module(name)
    for line in sys.stdin:
        code = _forked(json.loads(line), answers)
        os.write(answers, f"{code}\n".encode())
