"""Tables of finished runs, with the columns that comparisons have."""

from collections.abc import Iterable, Sequence

from spikeprune.lab.compare.numbers.columns import Column, columns, contrast_words, target
from spikeprune.lab.compare.numbers.rows_and_contrasts import Contrast, Row, paired
from spikeprune.lab.compare.numbers.statistics import Summary, summarise
from spikeprune.lab.report.html import TableCell as Shown
from spikeprune.lab.report.number_words import amount, is_number
from spikeprune.lab.reproduce.experiment import NOT_AVAILABLE, Table

_COLUMNS = {column.value: column for column in columns("test")} | {
    "nonzero_parameters": Column("non-zero parameters", "nonzero_parameters", amount),
    "dense_macs": Column("MACs (FLOPs: twice)", "dense_macs", amount),
}


def run_table(
    caption: str,
    rows: Sequence[Row],
    values: Iterable[str],
    more: Sequence[tuple[str, Sequence[Shown]]] = (),
) -> Table:
    """Return a table with a line per row.

    Args:
        caption: heading.
        rows: means over seeds.
        values: names of the numbers that are shown (see `compare.cells.VALUES`).
        more: further columns, title and cells, at the end.
    """
    chosen = [_COLUMNS[name] for name in values]
    several = len({row.setting for row in rows}) > 1
    titles = ("setting",) * several + ("method", "removed", "n", *(c.title for c in chosen))
    lines = []
    for place, row in enumerate(rows):
        line = [Shown(row.setting)] * several
        line += [
            Shown(row.method),
            Shown(target(row.sparsity, row.budget), row.sparsity),
            Shown(str(len(row.cells)), len(row.cells)),
            *(Shown(column.text(row), row.of(column.value).mean) for column in chosen),
            *(cells[place] for _, cells in more),
        ]
        lines.append(tuple(line))
    return Table(caption, (*titles, *(title for title, _ in more)), tuple(lines))


def contrast(row: Row, other: Row) -> tuple[Shown, Shown]:
    """Return the paired difference of test accuracy in points, and its interval at 95 %."""
    found: list[Contrast] = paired([*row.cells, *other.cells], row.method, other.method)
    if not found:
        return Shown(NOT_AVAILABLE), Shown(NOT_AVAILABLE)
    words = contrast_words(found[0])
    return Shown(words[3], found[0].found.mean), Shown(words[4], found[0].found.low)


def mean_of(values: Iterable[float | None]) -> Summary:
    """Return mean and spread of the values that are known."""
    return summarise([value for value in values if is_number(value)])


def worded(found: Summary, form: str = ".3f") -> Shown:
    """Return `mean ± std`, the mean alone for one value, or a dash for none."""
    if found.mean is None:
        return Shown("–")
    spread = "" if found.std is None else f"\u00a0±\u00a0{found.std:{form}}"
    return Shown(f"{found.mean:{form}}{spread}".replace("-", "−"), found.mean)


def number(value: float | None, form: str = ".4g") -> Shown:
    """Return a number, or a dash."""
    return Shown("–") if value is None else Shown(f"{value:{form}}".replace("-", "−"), value)


def in_percent(found: Summary) -> Summary:
    """Return a summary of fractions in per cent."""
    return Summary(
        found.n,
        *(None if value is None else 100 * value for value in (found.mean, found.std)),
    )


def shares(
    rows: Iterable[Row], value: str = "test_accuracy"
) -> tuple[list[float | None], list[float | None]]:
    """Return means and standard deviations of a fraction, in per cent, a row each."""
    found = [in_percent(row.of(value)) for row in rows]
    return [one.mean for one in found], [one.std for one in found]
