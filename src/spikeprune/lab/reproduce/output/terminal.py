"""Experiments in a terminal: what the paper shows, and the tables."""

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.text import Text

from spikeprune.lab.report.terminal import print_rows
from spikeprune.lab.reproduce.experiment import Table
from spikeprune.lab.reproduce.output.documents import Done

_SHOWN = 7


def print_done(console: Console, done: Iterable[Done]) -> None:
    """Print every experiment; of wide tables the first columns, since the files have them all."""
    for one in done:
        console.print(Text(f"\n{one.experiment.title}", style="bold"))
        console.print(Text(f"the paper: {' '.join(one.experiment.shows)}"))
        if one.section is None:
            console.print(Text(f"not made; runs without a result: {', '.join(one.missing)}"))
            continue
        for table in one.section.tables:
            for part in _by_setting(table):
                console.print(Text(f"\n{part.caption}", style="italic"))
                rows = [tuple(cell.text for cell in row[:_SHOWN]) for row in part.rows]
                print_rows(console, part.columns[:_SHOWN], rows)


def _by_setting(table: Table) -> Iterator[Table]:
    """Yield a table for every setting, so that its name takes no column."""
    if table.columns[0] != "setting":
        yield table
        return
    for name in dict.fromkeys(row[0].text for row in table.rows):
        rows = tuple(row[1:] for row in table.rows if row[0].text == name)
        yield Table(f"{table.caption}: {name}", table.columns[1:], rows)
