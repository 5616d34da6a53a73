"""Tables of the command line: methods, recipes, data sets, and nested values of any shape."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spikeprune.data import describe, locate
from spikeprune.lab.report import markdown
from spikeprune.lab.report.number_words import amount, duration, percent, size
from spikeprune.lab.settings.recipes import recipe_names, recipe_summary
from spikeprune.pruning.methods import all_methods
from spikeprune.pruning.sources import SOURCES

_SHARES = ("accuracy", "density", "sparsity", "rate", "fraction")


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.show_header = any(titles)
    for number, title in enumerate(titles):
        table.add_column(title, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def methods_table() -> Table:
    """Return a table with a row for each pruning method."""
    rows = []
    for m in all_methods():
        regrow = f" (r = {m.regrow_fraction:g})" if m.regrow != "none" else ""
        source = f" [{m.source}]" if m.source else ""
        rule = f"\n{m.formula}{regrow}" if m.formula else ""
        rows.append((m.name, ", ".join(m.granularities), m.summary + rule + source))
    return _table(("method", "granularity", "what it does, its rule and source"), rows)


def methods_markdown() -> str:
    """Return the table of docs/methods.md: method, rule, regrowth fraction, sources."""
    rows = []
    for m in all_methods():
        share = f"{m.regrow_fraction:g}" if m.regrow != "none" else "–"
        sources = (SOURCES[key] for key in m.sources)
        cited = "; ".join(f"[{source.short}]({source.url})" for source in sources) or "–"
        rule = f"`{m.formula}`" if m.formula else "nothing is pruned"
        rows.append((f"`{m.name}`", ", ".join(m.granularities), rule, share, cited))
    return markdown.table(("method", "of", "rule", "r", "source"), rows)


def recipes_table() -> Table:
    """Return a table with a row for each shipped recipe."""
    return _table(("recipe", "what it runs"), ((n, recipe_summary(n)) for n in recipe_names()))


def print_data(console: Console, root: str | None) -> None:
    """Print every data set with its place, then how to get those that were not found."""
    rows, obtain = [], []
    for row in describe():
        shape = "x".join(map(str, row.shape)) if row.shape else "any"
        place = locate(row.name, root).serves if row.shape else None
        where = place.where if place else "not found" if row.shape else "yours"
        rows.append((row.name, shape, str(row.classes or "any"), row.kind, where))
        if not place:
            obtain.append((row.name, row.obtain))
    console.print(_table(("data", "shape", "classes", "kind", "where"), rows))
    console.print("\nnot found, or yours to give (a folder is named by --data_root):")
    console.print(_table(("", ""), obtain))


def print_rows(console: Console, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of words."""
    console.print(_table(columns, rows))


def _word(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, float) and name.endswith(_SHARES):
        return percent(value)
    if name.endswith("bytes"):
        return size(value)
    if "seconds" in name:
        return f"{1000 * value:.3g} ms" if value < 1 else duration(value)
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) and value < 1e6 else amount(value)
    return ", ".join(_word("", one) for one in value)


def print_values(console: Console, values: Mapping[str, Any], title: str = "") -> None:
    """Print nested values: scalars as lines, lists of mappings as tables."""
    plain = {n: v for n, v in values.items() if not isinstance(v, Mapping) and not _is_rows(v)}
    if plain:
        if title:
            console.print(Text(title, style="bold"))
        grid = Table.grid(padding=(0, 2))
        for name, value in plain.items():
            grid.add_row(Text(name.replace("_", " ")), Text(_word(name, value)))
        console.print(grid)
    for name, value in values.items():
        heading = f"{title} {name}".strip().replace("_", " ")
        if isinstance(value, Mapping) and value:
            console.print()
            print_values(console, value, heading)
        elif _is_rows(value):
            columns = list(value[0])
            rows = [[_word(c, row.get(c)) for c in columns] for row in value]
            console.print()
            console.print(Text(heading, style="bold"))
            console.print(_table([c.replace("_", " ") for c in columns], rows))


def _is_rows(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)
