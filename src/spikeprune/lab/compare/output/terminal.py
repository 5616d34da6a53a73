"""Print a comparison: the columns that fit, the contrasts, the notes."""

from rich.console import Console
from rich.text import Text

from spikeprune.lab.compare.numbers.columns import CONTRAST_COLUMNS
from spikeprune.lab.compare.numbers.comparison import Comparison
from spikeprune.lab.compare.output.tables import FRONT, Table, comparison_table, front_table
from spikeprune.lab.report.terminal import print_rows

_WIDTH = 7  # columns of a table that fit
_CONTRAST_TITLES = {
    "contrast, a − b": "a − b",
    "target": "target",
    "n": "n",
    "mean difference, points": "points",
    "95 % interval": "95 % interval",
    "p, Holm": "p, Holm",
    "kind": "",
}


def print_table(console: Console, table: Table) -> None:
    """Print the first columns of a table; the files have them all."""
    print_rows(console, table.columns[:_WIDTH], [line[:_WIDTH] for line in table.texts])


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print accuracy, drop, sparsity and SynOps of the rows, the contrasts, and the notes."""
    for setting, table in comparison_table(comparison).by_setting():
        if setting:
            console.print(Text(f"\n{setting}", style="bold"))
        print_table(console, table)
    if comparison.contrasts:
        _print_contrasts(console, comparison)
    for setting, table in front_table(comparison).by_setting():
        if table.rows:
            console.print(Text(f"\n{setting}{': ' if setting else ''}{FRONT}", style="bold"))
            print_table(console, table)
    for note in comparison.notes:
        console.print(Text(note))


def _print_contrasts(console: Console, comparison: Comparison) -> None:
    shown = [column for column in CONTRAST_COLUMNS if column.title in _CONTRAST_TITLES]
    titles = [_CONTRAST_TITLES[column.title] for column in shown]
    rows = [[column.text(one) for column in shown] for one in comparison.contrasts]
    if len(comparison.settings) > 1:
        titles.insert(1, "setting")
        for row, one in zip(rows, comparison.contrasts, strict=True):
            row.insert(1, one.setting)
    console.print()
    print_rows(console, titles, rows)
    console.print()
