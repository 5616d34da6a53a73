"""An experiment: a figure or table of the paper, the runs that it needs, and its result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from spikeprune.lab.compare.jobs.grid import Key
from spikeprune.lab.compare.numbers.cells import Cell
from spikeprune.lab.compare.numbers.rows_and_contrasts import Row, rows
from spikeprune.lab.compare.output.tables import Table
from spikeprune.lab.reproduce.output.charts import Chart
from spikeprune.lab.reproduce.required_runs import RequiredRun
from spikeprune.lab.reproduce.scales import Scale

NOT_AVAILABLE = "not available"  # an unknown number of the paper


@dataclass(frozen=True)
class ExperimentInputs:
    """The finished runs of an experiment, and how to measure their nets."""

    scale: Scale
    cells: Sequence[Cell]  # finished runs
    measured: Path  # folder that keeps measurements on nets
    data_root: str | None = None  # folder with the data
    device: str | None = None  # of the measurements; None: that of each run

    @cached_property
    def _rows(self) -> dict[Key, Row]:
        return {row.key: row for row in rows(self.cells)}

    def row(self, run: RequiredRun) -> Row:
        """Return the cells of a required run, one per seed."""
        return self._rows[run.key]


@dataclass(frozen=True)
class ExperimentResult:
    """The result of an experiment."""

    tables: tuple[Table, ...]
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)  # measurements on nets, plain values


@dataclass(frozen=True)
class Experiment:
    """A figure or table of the paper."""

    name: str  # on the command line
    title: str
    shows: tuple[str, ...]  # what the paper shows, in sentences; unknown parts are `NOT_AVAILABLE`
    runs: Callable[[Scale], list[RequiredRun]]
    measure: Callable[[ExperimentInputs], ExperimentResult]
    curves: bool = False  # whether its runs record training and test accuracy of every epoch
