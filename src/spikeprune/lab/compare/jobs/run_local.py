"""Run jobs on this machine, several at once, in worker processes."""

import json
import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path

from spikeprune.lab.compare.jobs.compare_config import CompareConfig
from spikeprune.lab.compare.jobs.grid import Job
from spikeprune.lab.compare.jobs.job_outcome import Outcome, outcome

# It watches this process before its imports, which take seconds.
_WORKER = (
    "from spikeprune.stop import end_with; end_with(0); "
    "from spikeprune.lab.compare.jobs.worker import main; main()"
)
_PATIENCE = 10.0  # seconds that a worker has to end


def at_once(config: CompareConfig, jobs: int) -> int:
    """Return how many jobs run at once: `machine.jobs`, or what the cores or one device allow."""
    base = config.base
    fit = _cores() // (base.threads or 1) if base.device == "cpu" else 1
    return max(1, min(jobs, config.machine.jobs or fit))


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))  # those that this process may use
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def run_local(jobs: Sequence[Job], config: CompareConfig) -> Generator[Outcome, None, None]:
    """Run jobs in order and yield each outcome; closing the generator kills those that run."""
    waiting, count = deque(jobs), at_once(config, len(jobs))
    threads = config.base.threads or max(1, _cores() // count)
    workers: list[_Worker] = []
    ready = selectors.DefaultSelector()

    def start_next() -> None:
        worker = next((w for w in workers if w.job is None), None)
        if worker is None:
            worker = _Worker(config, threads)
            workers.append(worker)
        worker.give(waiting.popleft())
        ready.register(worker.answers, selectors.EVENT_READ, worker)

    try:
        for _ in range(count):
            start_next()
        while ready.get_map():
            for key, _ in ready.select():
                worker: _Worker = key.data
                ready.unregister(worker.answers)
                ended = worker.ended()
                if not worker.alive:
                    workers.remove(worker)
                    worker.close()
                if waiting:
                    start_next()
                yield ended
    finally:
        for worker in workers:
            worker.close()
        ready.close()


class _Worker:
    """The driver's side of a worker process (`worker.main`): it runs one job at a time."""

    def __init__(self, config: CompareConfig, threads: int) -> None:
        self.job: Job | None = None
        self.alive = True
        self._config = config
        log = config.folder.log("worker")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as errors:
            self._process = subprocess.Popen(
                # -P: else a file `numbers.py` of the working folder would hide Python's module
                [sys.executable, "-P", "-c", _WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self.answers = self._process.stdin, self._process.stdout

    def give(self, job: Job) -> None:
        """Start a job."""
        self.job = job
        order = {"config": job.config.to_dict(), "log": str(self._log(job))}
        with suppress(BrokenPipeError):  # a dead worker answers with the end of its file
            self._orders.write(json.dumps(order).encode() + b"\n")
            self._orders.flush()

    def ended(self) -> Outcome:
        """Return the outcome of the job; call it when `answers` is readable."""
        job, answer = self.job, self.answers.readline()
        assert job is not None
        self.job, self.alive = None, bool(answer)
        return outcome(job, int(answer) if answer else None, self._log(job))

    def close(self) -> None:
        """End the process and the job that it is running."""
        for stream in (self._orders, self.answers):
            with suppress(BrokenPipeError):
                stream.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _log(self, job: Job) -> Path:
        return self._config.folder.log(job.name)
