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
    """How one attempt to run a job ended: finished, failed, or busy."""

    job: Job
    error: str | None = None  # reason of the failure
    busy: bool = False  # another process is running it


def outcome(job: Job, code: int | None, log: Path) -> Outcome:
    """Return the outcome; `code` is negative for a signal, and None if the worker itself died."""
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
