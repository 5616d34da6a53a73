"""`spikeprune reproduce`: make the unfinished runs, measure their nets, write the results."""

import os
import shlex
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spikeprune.errors import ConfigError, RunError
from spikeprune.files import write_text
from spikeprune.lab.compare import CompareConfig, Machine
from spikeprune.lab.compare.compare import run_jobs
from spikeprune.lab.compare.jobs.grid import Job
from spikeprune.lab.compare.jobs.refuse_impossible import refuse_impossible
from spikeprune.lab.compare.jobs.run_local import at_once
from spikeprune.lab.compare.numbers.cells import read_cell
from spikeprune.lab.report.number_words import duration
from spikeprune.lab.reproduce.experiment import Experiment, ExperimentInputs
from spikeprune.lab.reproduce.output.documents import (
    Circumstances,
    Folder,
    Reproduction,
    write_experiment,
)
from spikeprune.lab.reproduce.output.page import render
from spikeprune.lab.reproduce.registry import chosen, curved
from spikeprune.lab.reproduce.required_runs import jobs_of, refuse_changed
from spikeprune.lab.reproduce.scales import scale_by_name
from spikeprune.lab.run.progress.display import Display, Silent
from spikeprune.lab.run_folder import ComparisonFolder


@dataclass(frozen=True, kw_only=True)
class Request:
    """A reproduction to make."""

    names: tuple[str, ...]  # of experiments, or `all`
    scale: str = "smoke"
    out: str | None = None  # folder; None: `runs/reproduce/SCALE`
    seeds: tuple[int, ...] | None = None  # None: those of the scale
    machine: Machine = field(default_factory=Machine)
    threads: int | None = None  # CPU threads of a run; None: the cores are shared by the runs
    data_root: str | None = None  # folder with local copies of the data
    device: str | None = None  # cpu, cuda or auto; None: that of the scale's recipes

    @property
    def folder(self) -> Folder:
        """Folder of the reproduction."""
        default = Path("runs") / "reproduce" / self.scale
        return Folder(default if self.out is None else Path(self.out).expanduser())

    @property
    def command(self) -> str:
        """The command line of this request."""
        words = ["spikeprune", "reproduce", *self.names, "--scale", self.scale]
        if self.seeds is not None:
            words += ["--seeds", str(list(self.seeds))]
        for name in ("out", "threads", "data_root", "device"):
            if getattr(self, name) is not None:
                words += [f"--{name}", str(getattr(self, name))]
        return shlex.join(words)


def jobs(experiments: Sequence[Experiment], request: Request) -> list[Job]:
    """Return the jobs of experiments, each once."""
    scale, seeds = scale_by_name(request.scale), _seeds(request)
    common: dict[str, Any] = {"data_root": request.data_root, "threads": request.threads}
    if request.device is not None:
        common["device"] = request.device
    runs = [run for one in experiments for run in one.runs(scale)]
    cells = request.folder.cells
    return jobs_of(runs, seeds, cells=cells, common=common, curved=curved(scale))


def _seeds(request: Request) -> tuple[int, ...]:
    seeds = scale_by_name(request.scale).seeds if request.seeds is None else request.seeds
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"expected seeds, each once, as --seeds '[0, 1]'; got {list(seeds)}")
    return seeds


def reproduce(request: Request, display: Display | None = None) -> tuple[Path, list[Reproduction]]:
    """Make or resume the runs of experiments, write the results, return the page and the results.

    A run that several experiments need is made once; finished runs are used again.

    Raises:
        SpikePruneError: a run is impossible, or the folder holds something else; nothing is
            written or run then.
        RunError: runs failed; all others were made and written. The next call tries again.
    """
    display = display or Silent()
    experiments, scale = chosen(request.names), scale_by_name(request.scale)
    asked = jobs(experiments, request)
    folder = request.folder
    _refuse_foreign(folder)
    refuse_changed(asked)
    waiting = [job for job in asked if not job.finished]
    display.stage("check", f"{len(asked)} runs, {len(asked) - len(waiting)} of them finished")
    refuse_impossible(waiting)
    failed = _failures(waiting, request, display)
    facts = Circumstances(
        scale=scale.name,
        summary=scale.summary,
        evidence=scale.evidence,
        command=request.command,
        seeds=_seeds(request),
        cores=os.cpu_count(),
    )
    done = [_measured(one, asked, request, display) for one in experiments]
    written = [
        replace(one, files=write_experiment(one, folder, facts)) if one.result else one
        for one in done
    ]
    write_text(folder.page, render(written, facts, folder))
    if failed:
        words = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        raise RunError(
            f"{len(failed)} of {len(asked)} runs failed ({words}); the results of the others are "
            f"in {folder.page}; the same command tries the failed ones again"
        )
    return folder.page, written


def _refuse_foreign(folder: Folder) -> None:
    if folder.path.exists() and not folder.path.is_dir():
        raise RunError(f"{folder.path} is a file; give another --out")
    if folder.path.is_dir() and any(folder.path.iterdir()) and not folder.cells.is_dir():
        raise RunError(
            f"{folder.path} holds files that are not of `spikeprune reproduce`; give an empty or "
            "new folder as --out"
        )


def _failures(waiting: Sequence[Job], request: Request, display: Display) -> dict[str, str]:
    if not waiting:
        return {}
    folder = request.folder.path
    config = CompareConfig(base=waiting[0].config, out=str(folder), machine=request.machine)
    try:
        ComparisonFolder(folder).cells.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"expected to write to {folder}, got: {error}; give another folder as --out"
        ) from error
    logs = config.folder.log("*").parent
    count = at_once(config, len(waiting))
    display.stage("run", f"{len(waiting)} runs, {count} at once; their output: {logs}")
    with closing(run_jobs(waiting, config, display)) as outcomes:
        return {ended.job.name: ended.error for ended in outcomes if ended.error}


def _measured(
    experiment: Experiment, asked: Sequence[Job], request: Request, display: Display
) -> Reproduction:
    """Compute the result of an experiment; it has none if runs are missing."""
    scale = scale_by_name(request.scale)
    keys = {run.key for run in experiment.runs(scale)}
    own = [job for job in asked if job.key in keys]
    cells = [read_cell(job) for job in own if job.finished]
    missing = [job.name for job in own if not job.finished]
    if missing:
        return Reproduction(experiment, None, cells, missing)
    started = time.monotonic()
    inputs = ExperimentInputs(
        scale, cells, request.folder.measured, data_root=request.data_root, device=request.device
    )
    result = experiment.measure(inputs)
    trained = duration(sum(cell.values["wall_seconds"] or 0.0 for cell in cells))
    display.message(
        f"{experiment.name}: {len(cells)} runs, {trained} of training; measured in "
        f"{duration(time.monotonic() - started)}"
    )
    return Reproduction(experiment, result, cells)
