"""What an experiment is, and what it gives: tables, charts, raw numbers, notes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from spikeprune.lab.compare.numbers.cells import Cell
from spikeprune.lab.compare.numbers.rows_and_contrasts import Row, rows
from spikeprune.lab.report.html import TableCell as Shown
from spikeprune.lab.reproduce.output.charts import Chart
from spikeprune.lab.reproduce.required_runs import Want
from spikeprune.lab.reproduce.scales import Scale

NOT_AVAILABLE = "not available"
"""Of a number of the paper that is not known."""


@dataclass(frozen=True)
class Table:
    """A table: a cell is what is shown, and the number that it sorts by."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Shown, ...], ...]

    @property
    def plain(self) -> dict[str, Any]:
        """Caption, columns and rows, each cell its words and its number."""
        lines = [[{"text": c.text, "value": c.value} for c in row] for row in self.rows]
        return {"caption": self.caption, "columns": list(self.columns), "rows": lines}


@dataclass(frozen=True)
class Section:
    """What an experiment gave.

    Attributes:
        tables: for a reader.
        charts: figures.
        notes: what a reader must know beside them.
        numbers: what was measured beyond the cells, plain values.
    """

    tables: tuple[Table, ...]
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """The finished cells, and where what is measured on their nets is kept.

    Attributes:
        scale: of the experiments.
        cells: all finished ones.
        measured: folder of what was measured on nets.
        data_root: where the data lie now.
        device: where to compute; None: as the runs say.
    """

    scale: Scale
    cells: Sequence[Cell]
    measured: Path
    data_root: str | None = None
    device: str | None = None

    @cached_property
    def _rows(self) -> dict[tuple[str, str, float | None], Row]:
        return {(row.setting, row.method, row.sparsity): row for row in rows(self.cells)}

    def row(self, want: Want) -> Row:
        """Return the cells of a run, one a seed."""
        return self._rows[want.key]

    def has(self, want: Want) -> bool:
        """Tell whether a run is finished with any seed."""
        return want.key in self._rows


@dataclass(frozen=True)
class Experiment:
    """A figure or table of the paper.

    Attributes:
        name: on the command line.
        title: heading.
        shows: what the paper shows, in sentences; what is not known is said to be so.
        wants: runs that it needs at a scale.
        measure: makes it from finished runs.
        curves: whether its runs record training and test accuracy of every epoch.
    """

    name: str
    title: str
    shows: tuple[str, ...]
    wants: Callable[[Scale], list[Want]]
    measure: Callable[[Study], Section]
    curves: bool = False
