"""A comparison in a terminal: the columns that fit, the contrasts, the notes."""

from rich.console import Console
from rich.text import Text

from spikeprune.lab.compare.numbers.columns import contrast_words, name_of, target
from spikeprune.lab.compare.numbers.comparison import Comparison
from spikeprune.lab.compare.output.documents import numbered
from spikeprune.lab.report.terminal import print_rows

_SHOWN = 4


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print means and spread of accuracy, drop, sparsity and operations, and what is to be told."""
    shown = comparison.columns[:_SHOWN]
    for setting in comparison.settings:
        if len(comparison.settings) > 1:
            console.print(Text(f"\n{setting}", style="bold"))
        print_rows(
            console,
            ("method", "target", "n", *(column.title for column in shown)),
            [
                (
                    *(name_of(row, comparison.differences), target(row.sparsity, row.budget)),
                    *(str(len(row.cells)), *(column.text(row) for column in shown)),
                )
                for row in comparison.rows
                if row.setting == setting
            ],
        )
    _print_contrasts(console, comparison)
    for note in numbered(comparison):
        console.print(Text(note))


def _print_contrasts(console: Console, comparison: Comparison) -> None:
    if not comparison.contrasts:
        return
    console.print()
    rows, several = [], len(comparison.settings) > 1
    for one in comparison.contrasts:
        pair, sparsity, n, mean, interval, _, corrected, _, kind, _ = contrast_words(one)
        setting = (one.setting,) * several
        rows.append((pair, *setting, sparsity, n, mean, interval, corrected, kind))
    head = ("a − b", *("setting",) * several)
    titles = (*head, "target", "n", "points", "95 % interval", "p, Holm", "")
    print_rows(console, titles, rows)
    console.print()
