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

NOT_AVAILABLE = "not available"
"""Stands in place of an unknown number of the paper."""


@dataclass(frozen=True)
class ExperimentInputs:
    """The finished runs of an experiment, and how to measure their nets.

    Attributes:
        scale: of the experiment.
        cells: its finished runs.
        measured: folder that keeps measurements on nets.
        data_root: folder with the data.
        device: of the measurements; None: that of each run.
    """

    scale: Scale
    cells: Sequence[Cell]
    measured: Path
    data_root: str | None = None
    device: str | None = None

    @cached_property
    def _rows(self) -> dict[Key, Row]:
        return {row.key: row for row in rows(self.cells)}

    def row(self, run: RequiredRun) -> Row:
        """Return the cells of a required run, one per seed."""
        return self._rows[run.key]


@dataclass(frozen=True)
class ExperimentResult:
    """The result of an experiment.

    Attributes:
        tables: for the reader.
        charts: figures.
        notes: for the reader.
        numbers: measurements on nets, plain values.
    """

    tables: tuple[Table, ...]
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """A figure or table of the paper.

    Attributes:
        name: on the command line.
        title: heading.
        shows: what the paper shows, in sentences; unknown parts are `NOT_AVAILABLE`.
        runs: returns the runs that it needs at a scale.
        measure: computes its result from the finished runs.
        curves: whether its runs record training and test accuracy of every epoch.
    """

    name: str
    title: str
    shows: tuple[str, ...]
    runs: Callable[[Scale], list[RequiredRun]]
    measure: Callable[[ExperimentInputs], ExperimentResult]
    curves: bool = False
