"""Tables of finished runs, with the columns of comparisons."""

from collections.abc import Iterable, Sequence

from spikeprune.lab.compare.numbers.columns import (
    NONE,
    Column,
    columns,
    interval,
    mean_and_spread,
    mean_difference,
)
from spikeprune.lab.compare.numbers.rows_and_contrasts import Row, paired
from spikeprune.lab.compare.numbers.statistics import Summary, summarise
from spikeprune.lab.compare.output import tables
from spikeprune.lab.compare.output.tables import Table
from spikeprune.lab.report.html import TableCell
from spikeprune.lab.report.number_words import amount, is_number
from spikeprune.lab.reproduce.experiment import NOT_AVAILABLE

NO_VALUE = TableCell(NONE)
_COLUMNS = {column.value: column for column in columns("test")} | {
    "nonzero_parameters": Column("non-zero parameters", "nonzero_parameters", amount),
    "dense_macs": Column("MACs (FLOPs: twice)", "dense_macs", amount),
}


def run_table(
    caption: str,
    rows: Sequence[Row],
    values: Iterable[str],
    more: Sequence[tuple[str, Sequence[TableCell]]] = (),
) -> Table:
    """Return a table with a line per row: its measurements `values`, and further columns."""
    shown = [_COLUMNS[value] for value in values]
    table = tables.run_table(caption, rows, shown, target_title="removed")
    return Table(
        caption,
        (*table.columns, *(title for title, _ in more)),
        tuple((*line, *(cells[n] for _, cells in more)) for n, line in enumerate(table.rows)),
    )


def contrast(row: Row, other: Row) -> tuple[TableCell, TableCell]:
    """Return the paired difference of test accuracy in points, and its interval at 95 %."""
    found = paired([*row.cells, *other.cells], row.method, other.method)
    if not found:
        return TableCell(NOT_AVAILABLE), TableCell(NOT_AVAILABLE)
    one = found[0]
    return (
        TableCell(mean_difference(one), one.paired.mean),
        TableCell(interval(one), one.paired.low),
    )


def mean_of(values: Iterable[float | None]) -> Summary:
    """Return mean and spread of the known values."""
    return summarise([value for value in values if is_number(value)])


def summary_cell(found: Summary, form: str = ".3f") -> TableCell:
    """Return `mean ± std`, the mean alone without a deviation, or a dash; `form` as in format."""
    words = mean_and_spread(found, lambda value: f"{value:{form}}".replace("-", "−"))
    return TableCell(words, found.mean)


def accuracies(rows: Iterable[Row]) -> list[Summary]:
    """Return test accuracy of each row in per cent."""
    return [row.summary("test_accuracy").in_percent for row in rows]
