"""Print experiments: what the paper shows, and the tables."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from spikeprune.lab.compare.output.terminal import print_table
from spikeprune.lab.reproduce.output.documents import Reproduction


def print_experiments(console: Console, reproduced: Iterable[Reproduction]) -> None:
    """Print every experiment; of a wide table only the first columns."""
    for one in reproduced:
        console.print(Text(f"\n{one.experiment.title}", style="bold"))
        console.print(Text(f"the paper: {' '.join(one.experiment.shows)}"))
        if one.result is None:
            console.print(Text(f"not made; runs without a result: {', '.join(one.missing)}"))
            continue
        for table in one.result.tables:
            for setting, part in table.by_setting():
                caption = f"{table.caption}: {setting}" if setting else table.caption
                console.print(Text(f"\n{caption}", style="italic"))
                print_table(console, part)
