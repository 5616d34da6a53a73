"""Tables in Markdown."""

from collections.abc import Iterable, Sequence

_RULES = {"l": ":---", "c": ":---:", "r": "---:"}


def table(header: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    """Return a pipe table; `|` inside a cell is escaped.

    `align` has a letter per column, `l`, `c` or `r`; empty leaves the alignment to the reader.
    """
    rule = [_RULES[letter] for letter in align] or ["---"] * len(header)
    lines = [[cell.replace("|", r"\|") for cell in line] for line in (header, *rows)]
    lines.insert(1, rule)
    if any(len(line) != len(header) for line in lines):
        raise ValueError(f"expected {len(header)} cells in every row of the table of {header}")
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
