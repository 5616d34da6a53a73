"""Collect the results of a comparison from its run folders, and write them."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from spikeprune.errors import ConfigError, RunError, require_one_of
from spikeprune.files import read_text, write_text
from spikeprune.lab.compare.jobs.compare_config import SELECT, CompareConfig
from spikeprune.lab.compare.jobs.grid import jobs
from spikeprune.lab.compare.jobs.refuse_impossible import MIXED_TEACHERS
from spikeprune.lab.compare.numbers.cells import Cell, read_cell
from spikeprune.lab.compare.numbers.comparison import Comparison
from spikeprune.lab.compare.numbers.finished_runs import cells_of_runs
from spikeprune.lab.compare.numbers.rows_and_contrasts import mixes_teachers
from spikeprune.lab.compare.output.documents import write_documents
from spikeprune.lab.compare.output.page import render
from spikeprune.lab.compare.output.print_figures import write_prints
from spikeprune.lab.run_folder import ComparisonFolder

_SHARE = 0.1  # of the time, at most, goes into drawing intermediate results


def load_comparison(folder: Path | str) -> Comparison:
    """Return the finished part of a comparison."""
    return Results(CompareConfig.load(ComparisonFolder(Path(folder).expanduser()))).comparison()


def comparison_of_runs(
    folders: Sequence[Path | str],
    *,
    explore: Iterable[Sequence[str]] = (),
    select: str = "test",
    mixed_teachers: bool = False,
) -> Comparison:
    """Return the comparison of finished runs from any folders; run nothing.

    `explore` has pairs (a, b) of names in the table; `select` is `test` or `validation`;
    `mixed_teachers` whether runs with and without a teacher may be compared.

    Raises:
        RunError: a folder holds no finished run.
        ConfigError: a run is given twice, a name or `select` is unknown, or only some runs of a
            setting had a teacher.
    """
    require_one_of("select", select, SELECT)
    cells = cells_of_runs(folders)
    if mixes_teachers(cells) and not mixed_teachers:
        raise ConfigError(f"some of these runs learned from a teacher; {MIXED_TEACHERS}")
    names = dict.fromkeys(cell.method for cell in cells)
    pairs = []
    for pair in explore:
        if len(pair) != 2 or not set(pair) <= names.keys():
            raise ConfigError(
                f"expected pairs [a, b] of: {', '.join(names)}; got [{', '.join(pair)}]"
            )
        pairs.append((pair[0], pair[1]))
    return Comparison(cells, select, explore=pairs)


def write_results(comparison: Comparison, out: Path | str) -> Path:
    """Write tables, figures and page into a folder (not into that of a grid); return the page."""
    folder = ComparisonFolder(Path(out).expanduser())
    if folder.config.is_file() and not comparison.config:
        raise RunError(f"{folder.path} is the folder of a grid of runs; give another --out")
    write_documents(comparison, folder)
    write_text(folder.page, render(comparison, folder, write_prints(comparison, folder)))
    return folder.page


class Results:
    """The results of a grid while it runs; each finished run is read once."""

    def __init__(self, config: CompareConfig) -> None:
        self.failed: dict[str, str] = {}
        self._config = config
        self._jobs = jobs(config)
        self._cells: dict[str, Cell] = {}
        self._next_drawing = 0.0

    def comparison(self) -> Comparison:
        """Return the comparison of all finished cells, those run by other processes included."""
        for job in self._jobs:
            if job.name not in self._cells and job.finished:
                self._cells[job.name] = read_cell(job)
        names, config = [job.name for job in self._jobs], self._config
        return Comparison(
            [self._cells[name] for name in names if name in self._cells],
            config.select,
            named=config.pairs,
            explore=config.explore,
            missing=[name for name in names if name not in self._cells],
            failed=self.failed,
            config=read_text(config.folder.config),
        )

    def write(self) -> Path:
        """Write everything and return the page."""
        return write_results(self.comparison(), self._config.folder.path)

    def update(self) -> None:
        """Write the tables; draw figures and page only if they take a tenth of the time."""
        now = time.monotonic()
        if now < self._next_drawing:
            write_documents(self.comparison(), self._config.folder)
            return
        self.write()
        ended = time.monotonic()
        self._next_drawing = ended + (ended - now) / _SHARE
