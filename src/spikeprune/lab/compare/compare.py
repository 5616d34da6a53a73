"""`spikeprune compare`: run the unfinished jobs of a grid, and write the results."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from spikeprune.errors import RunError
from spikeprune.lab.compare.jobs.compare_config import CompareConfig
from spikeprune.lab.compare.jobs.folder_claim import claim, joined
from spikeprune.lab.compare.jobs.grid import Job, jobs, spread
from spikeprune.lab.compare.jobs.job_outcome import Outcome
from spikeprune.lab.compare.jobs.refuse_impossible import (
    refuse_impossible,
    refuse_mixed_teachers,
)
from spikeprune.lab.compare.jobs.run_local import at_once, run_local
from spikeprune.lab.compare.jobs.run_on_ray import run_on_ray
from spikeprune.lab.compare.load_and_write import Results
from spikeprune.lab.compare.numbers.cells import read_cell
from spikeprune.lab.report.number_words import duration, percent, some
from spikeprune.lab.run.locks import is_held
from spikeprune.lab.run.progress.display import Display, Silent
from spikeprune.manifest import faults

Outcomes = Generator[Outcome, None, None]
_ENGINES: dict[str, Callable[[Sequence[Job], CompareConfig], Outcomes]] = {
    "local": run_local,
    "ray": run_on_ray,
}
_POLL = 1.0  # seconds between two looks at jobs that another process is running


def compare(config: CompareConfig, display: Display | None = None) -> Path:
    """Run or resume all cells of a grid, and return the path of the page.

    A cell that another process is running is waited for, and taken over if that process stops.

    Raises:
        SpikePruneError: a cell is impossible, or the folder holds something else; nothing is
            written or run then.
        RunError: cells failed; all others were run. The next call tries the failed ones again.
    """
    display = display or Silent()
    config.check_lists()
    whole = joined(config)
    if not whole.mixed_teachers:
        refuse_mixed_teachers(jobs(whole))
    asked = jobs(config, trust_code=True)  # the caller's own configuration
    # A run whose files were lost or damaged is given to a worker, which makes them again.
    waiting = [job for job in asked if not job.finished or faults(job.folder.path)]
    display.stage("check", f"{len(asked)} cells, {len(asked) - len(waiting)} of them finished")
    refuse_impossible(waiting)
    results, logs = Results(claim(config)), config.folder.log("*").parent
    if waiting:
        count = at_once(config, len(waiting))
        display.stage("run", f"{len(waiting)} cells, {count} at once; their output: {logs}")
    try:
        with closing(run_jobs(waiting, config, display)) as outcomes:  # kills them on an exception
            for ended in outcomes:
                if ended.error:
                    results.failed[ended.job.name] = ended.error
                results.update()
    finally:
        results.write()
    if results.failed:
        raise RunError(
            f"{len(results.failed)} of {len(asked)} cells failed ({_by_reason(results.failed)}). "
            f"Their logs are in {logs}; the same command tries them again"
        )
    return config.folder.page


def _by_reason(failed: Mapping[str, str]) -> str:
    reasons: dict[str, list[str]] = {}
    for name, reason in failed.items():
        reasons.setdefault(reason, []).append(name)
    return "; ".join(f"{some(names)}: {reason}" for reason, names in reasons.items())


def run_jobs(waiting: Sequence[Job], config: CompareConfig, display: Display) -> Outcomes:
    """Run jobs of any grid on the machine of `config`, with logs in its folder; yield outcomes."""
    total, started = len(waiting), time.monotonic()
    with closing(_outcomes(waiting, config, display)) as outcomes:
        for done, ended in enumerate(outcomes, start=1):
            left = (time.monotonic() - started) / done * (total - done)
            display.message(f"{done}/{total}  {_in_words(ended)}  left {duration(left)}")
            yield ended


def _outcomes(waiting: Sequence[Job], config: CompareConfig, display: Display) -> Outcomes:
    """Yield the outcome of each job; last, those of jobs that another process is running."""
    engine, free = _ENGINES[config.machine.engine], spread(waiting)
    elsewhere: list[Job] = []
    while free or elsewhere:
        if free:
            with closing(engine(free, config)) as outcomes:
                for ended in outcomes:
                    if ended.busy:
                        elsewhere.append(ended.job)
                    else:
                        yield ended
        if elsewhere:
            display.message(f"waits for {len(elsewhere)} cells that another process is running")
        released = _released(elsewhere)
        elsewhere = [job for job in elsewhere if job not in released]
        free = [job for job in released if not job.folder.report.is_file()]
        yield from (Outcome(job) for job in released if job not in free)


def _released(elsewhere: Sequence[Job]) -> list[Job]:
    """Wait until another process has finished or given up some of these jobs; return them."""
    while elsewhere:
        released = [job for job in elsewhere if not is_held(job.folder.config)]
        if released:
            return released
        time.sleep(_POLL)
    return []


def _in_words(ended: Outcome) -> str:
    if ended.error:
        return f"{ended.job} failed: {ended.error}"
    values = read_cell(ended.job).values
    accuracy, dense = values["test_accuracy"], values["dense_test_accuracy"]
    return f"{ended.job}: {percent(accuracy)}, dense {percent(dense)}"
