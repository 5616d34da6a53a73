"""Tables for the reader, shown by page, documents and terminal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from spikeprune.lab.compare.numbers.columns import CONTRAST_COLUMNS, Column, name_of, target
from spikeprune.lab.compare.numbers.comparison import Comparison
from spikeprune.lab.compare.numbers.pareto import COSTS
from spikeprune.lab.compare.numbers.rows_and_contrasts import DEAD, Difference, Row
from spikeprune.lab.report.html import TableCell

FRONT = "Not dominated in accuracy and the costs with *"


@dataclass(frozen=True)
class Table:
    """A table: a cell has a text and the number that it sorts by."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[TableCell, ...], ...]

    @classmethod
    def of(cls, caption: str, rows: Sequence[Mapping[str, TableCell]]) -> Self:
        """Return a table of rows with the same columns; there must be at least one row."""
        return cls(caption, tuple(rows[0]), tuple(tuple(row.values()) for row in rows))

    @property
    def texts(self) -> list[tuple[str, ...]]:
        """The texts of the cells by row, without the titles of the columns."""
        return [tuple(cell.text for cell in row) for row in self.rows]

    def as_json(self) -> dict[str, Any]:
        """Return caption, columns, and rows of cells with text and number."""
        rows = [[{"text": cell.text, "value": cell.value} for cell in row] for row in self.rows]
        return {"caption": self.caption, "columns": list(self.columns), "rows": rows}

    def by_setting(self) -> Iterator[tuple[str, "Table"]]:
        """Yield each setting with its rows, or ("", this table) if it has no such column."""
        if self.columns[0] != "setting":
            yield "", self
            return
        for name in dict.fromkeys(row[0].text for row in self.rows):
            rows = tuple(row[1:] for row in self.rows if row[0].text == name)
            yield name, Table(self.caption, self.columns[1:], rows)


def run_table(
    caption: str,
    rows: Sequence[Row],
    columns: Sequence[Column],
    *,
    differences: Sequence[Difference] = (),
    target_title: str = "target",
) -> Table:
    """Return a table with a line per row, marked with the numbers of its differences."""
    several = len({row.setting for row in rows}) > 1
    if any(row.dead for row in rows):
        caption += f"; {DEAD}: a net is dead, see its report"
    titles = ("method", target_title, "n", *(column.title for column in columns))
    lines = []
    for row in rows:
        setting = (TableCell(row.setting),) if several else ()
        lines.append(
            (
                *setting,
                TableCell(name_of(row, differences)),
                TableCell(target(row.sparsity, row.budget), row.sparsity),
                TableCell(str(len(row.cells)), len(row.cells)),
                *(TableCell(c.text(row), row.summary(c.value).mean) for c in columns),
            )
        )
    return Table(caption, ("setting", *titles) if several else titles, tuple(lines))


def comparison_table(comparison: Comparison) -> Table:
    """Return the table of rows of a comparison."""
    return run_table(
        "Mean ± sample standard deviation over the seeds",
        comparison.rows,
        comparison.columns,
        differences=comparison.differences,
    )


def front_table(comparison: Comparison) -> Table:
    """Return the rows that no other one dominates in some cost, marked there, the best first."""
    kept = frozenset().union(*comparison.fronts.values())
    rows = sorted(
        (row for row in comparison.rows if row.key in kept),
        key=lambda row: (row.setting, -(row.summary(f"{comparison.select}_accuracy").mean or 0)),
    )
    costs = {axis.value: comparison.fronts[axis.key] for axis in COSTS}
    shown = [c for c in comparison.columns if c.value.endswith("_accuracy") or c.value in costs]
    table = run_table(FRONT, rows, [replace(one, spread=True) for one in shown])
    first = len(table.columns) - len(shown)
    lines = []
    for row, cells in zip(rows, table.rows, strict=True):
        marked = (
            replace(cell, text=f"{cell.text} *") if row.key in costs.get(c.value, ()) else cell
            for c, cell in zip(shown, cells[first:], strict=True)
        )
        lines.append((*cells[:first], *marked))
    return replace(table, rows=tuple(lines))


def contrast_table(comparison: Comparison) -> Table:
    """Return the table of contrasts; it has no rows if no pair was asked for."""
    several = len(comparison.settings) > 1
    titles = tuple(column.title for column in CONTRAST_COLUMNS)
    lines = []
    for one in comparison.contrasts:
        setting = (TableCell(one.setting),) if several else ()
        cells = (TableCell(column.text(one), column.value(one)) for column in CONTRAST_COLUMNS)
        lines.append((*setting, *cells))
    return Table(
        f"Paired differences of {comparison.select} accuracy, a − b",
        ("setting", *titles) if several else titles,
        tuple(lines),
    )
