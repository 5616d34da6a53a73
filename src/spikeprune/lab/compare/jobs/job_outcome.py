"""How the process of a job ended, and the reason of a failure from its log."""

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from spikeprune.lab.compare.jobs.grid import Job
from spikeprune.lab.compare.jobs.worker import BUSY, DONE

_TIME = re.compile(r"^\d\d:\d\d:\d\d  (error: )?")


@dataclass(frozen=True)
class Outcome:
    """How one attempt to run a job ended: finished, failed (`error` is the reason), or busy.

    A busy job is one that another process is running.
    """

    job: Job
    error: str | None = None
    busy: bool = False


def outcome(job: Job, code: int | None, log: Path) -> Outcome:
    """Return the outcome of a job from its log and the exit code of its process.

    The code is negative for a signal, and None if the worker itself died.
    """
    if code == BUSY:
        return Outcome(job, busy=True)
    if code == DONE and job.finished:
        return Outcome(job)
    if code is None:
        return Outcome(job, "its worker was killed")
    if code < 0:
        return Outcome(job, f"killed by {signal.Signals(-code).name}")
    return Outcome(job, _last_line(log))


def _last_line(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    return _TIME.sub("", lines[-1]) if lines else "its log is empty"
