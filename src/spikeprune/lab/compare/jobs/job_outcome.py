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
    """How one attempt to run a job ended.

    Attributes:
        job: the job.
        error: reason of the failure; None if the job is finished or busy.
        busy: whether another process is running the job.
    """

    job: Job
    error: str | None = None
    busy: bool = False


def outcome(job: Job, code: int | None, log: Path) -> Outcome:
    """Return the outcome of a job.

    Args:
        job: the job.
        code: exit code of its process; negative for a signal; None if the worker itself died.
        log: file with the output of the run.
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
