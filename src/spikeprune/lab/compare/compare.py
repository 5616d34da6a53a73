"""`spikeprune compare`: run what is not finished, and write what there is."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from spikeprune.errors import RunError
from spikeprune.lab.compare.jobs.compare_config import CompareConfig
from spikeprune.lab.compare.jobs.folder_claim import claim, joined
from spikeprune.lab.compare.jobs.grid import Job, jobs, spread
from spikeprune.lab.compare.jobs.job_outcome import Outcome
from spikeprune.lab.compare.jobs.refuse_impossible import refuse_impossible
from spikeprune.lab.compare.jobs.run_local import at_once, run_local
from spikeprune.lab.compare.jobs.run_on_ray import run_on_ray
from spikeprune.lab.compare.load_and_write import Results
from spikeprune.lab.compare.numbers.cells import read_cell
from spikeprune.lab.report.number_words import duration, percent, some
from spikeprune.lab.run.locks import is_held
from spikeprune.lab.run.progress.display import Display, Silent

Outcomes = Generator[Outcome, None, None]
Engine = Callable[[Sequence[Job], CompareConfig], Outcomes]
_ENGINES: dict[str, Engine] = {"local": run_local, "ray": run_on_ray}
_POLL = 1.0  # seconds between two looks at cells that another process is at


def compare(config: CompareConfig, display: Display | None = None) -> Path:
    """Run, or go on with, all cells of a grid and return the path of the page.

    Finished cells are not run again. A cell that another process is at is waited for, and taken
    over if that process gives it up. After every finished cell the results are written anew.

    Args:
        config: what is compared.
        display: is told of progress; None shows nothing.

    Raises:
        SpikePruneError: a cell is impossible, or the folder holds something else; nothing is
            written or run then.
        RunError: cells failed, after all others were run. The next call tries them again.
    """
    display = display or Silent()
    config.check_lists()
    joined(config)
    asked = jobs(config)
    waiting = [job for job in asked if not job.finished]
    display.stage("check", f"{len(asked)} cells, {len(asked) - len(waiting)} of them finished")
    refuse_impossible(waiting)
    results = Results(claim(config))
    if waiting:
        count = at_once(config, len(waiting))
        logs = config.folder.log("*").parent
        display.stage("run", f"{len(waiting)} cells, {count} at once; what they print: {logs}")
    try:
        _run_all(waiting, config, results, display)
    finally:
        results.write()
    if results.failed:
        raise RunError(
            f"{len(results.failed)} of {len(asked)} cells failed ({_said(results.failed)}). Their "
            "logs are in "
            f"{config.folder.log('*').parent}; the same command tries them again"
        )
    return config.folder.page


def _said(failed: Mapping[str, str]) -> str:
    """Name the cells that failed by reason, of many the first."""
    reasons: dict[str, list[str]] = {}
    for name, reason in failed.items():
        reasons.setdefault(reason, []).append(name)
    return "; ".join(f"{some(names)}: {reason}" for reason, names in reasons.items())


def _run_all(
    waiting: Sequence[Job], config: CompareConfig, results: Results, display: Display
) -> None:
    with closing(run_jobs(waiting, config, display)) as outcomes:  # an exception ends the cells
        for ended in outcomes:
            if ended.error:
                results.failed[ended.job.name] = ended.error
            results.update()


def run_jobs(waiting: Sequence[Job], config: CompareConfig, display: Display) -> Outcomes:
    """Run cells, several at once, until each is finished, here or elsewhere, or has failed here.

    Args:
        waiting: cells that are not finished; any cells, they need not be those of a grid.
        config: tells where to log, the engine, and how many cells to run at once.
        display: is told how every cell ended.

    Yields:
        How each cell ended.
    """
    total, started = len(waiting), time.monotonic()
    with closing(_outcomes(waiting, config, display)) as outcomes:
        for done, ended in enumerate(outcomes, start=1):
            left = (time.monotonic() - started) / done * (total - done)
            display.message(f"{done}/{total}  {_told(ended)}  left {duration(left)}")
            yield ended


def _outcomes(waiting: Sequence[Job], config: CompareConfig, display: Display) -> Outcomes:
    """Yield how each cell ended; those that another process is at come last."""
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
            display.message(f"waits for {len(elsewhere)} cells that another process is at")
        released = _released(elsewhere)
        elsewhere = [job for job in elsewhere if job not in released]
        free = [job for job in released if not job.folder.report.is_file()]
        yield from (Outcome(job) for job in released if job not in free)


def _released(elsewhere: Sequence[Job]) -> list[Job]:
    """Wait until another process lets go of some of these cells, finished or not; return them."""
    while elsewhere:
        released = [job for job in elsewhere if not is_held(job.folder.config)]
        if released:
            return released
        time.sleep(_POLL)
    return []


def _told(ended: Outcome) -> str:
    if ended.error:
        return f"{ended.job} failed: {ended.error}"
    values = read_cell(ended.job).values
    accuracy, dense = values["test_accuracy"], values["dense_test_accuracy"]
    return f"{ended.job}: {percent(accuracy)}, dense {percent(dense)}"
