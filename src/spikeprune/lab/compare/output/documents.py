"""The comparison as files of text: Markdown, CSV, LaTeX, and the raw rows as JSON."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from spikeprune.files import write_json, write_text
from spikeprune.lab.compare.numbers.columns import CONTRAST_TITLES, contrast_words, name_of, target
from spikeprune.lab.compare.numbers.comparison import Comparison
from spikeprune.lab.run_folder import ComparisonFolder

SCHEMA = 1
"""Layout of `cells.json`; the policy is that of `metrics.json`."""

Lines = list[tuple[str, ...]]


def write_documents(comparison: Comparison, folder: ComparisonFolder) -> None:
    """Write `cells.json`, the table in three formats, and the paired differences."""
    write_json(
        folder.rows,
        {"schema": SCHEMA, "cells": [cell.row(folder.path) for cell in comparison.cells]},
    )
    write_text(folder.table("md"), _markdown(comparison))
    write_text(folder.table("tex"), _latex(comparison))
    write_text(folder.table("csv"), _csv_rows(comparison))
    write_text(folder.pairs, _csv_pairs(comparison))


def grid_of_words(comparison: Comparison) -> tuple[Lines, Lines]:
    """Return the table and the table of contrasts in words, headings first.

    The second is empty where no pair was asked for. Columns of the setting are there if there are
    several.
    """
    several = len(comparison.settings) > 1
    head = ("setting",) * several
    table = [(*head, "method", "target", "n", *(c.title for c in comparison.columns))]
    for row in comparison.rows:
        name = name_of(row, comparison.differences)
        words = (name, target(row.sparsity, row.budget), str(len(row.cells)))
        shown = (column.text(row) for column in comparison.columns)
        table.append((*(row.setting,) * several, *words, *shown))
    pairs: Lines = []
    if comparison.contrasts:
        pairs.append((*head, *CONTRAST_TITLES))
        pairs += [(*(one.setting,) * several, *contrast_words(one)) for one in comparison.contrasts]
    return table, pairs


def _markdown(comparison: Comparison) -> str:
    table, pairs = grid_of_words(comparison)
    notes = numbered(comparison)
    parts = [_pipes(table), _pipes(pairs), "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def numbered(comparison: Comparison) -> list[str]:
    """Return the notes; those that rows are marked with carry their number."""
    marked = len(comparison.differences)
    return [
        f"[{number}] {note}" if number <= marked else note
        for number, note in enumerate(comparison.notes, start=1)
    ]


def _pipes(lines: Lines) -> str:
    if not lines:
        return ""
    cells = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    rule = ["---"] * len(lines[0])
    return "\n".join(f"| {' | '.join(line)} |" for line in (cells[0], rule, *cells[1:]))


def _csv(lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _csv_rows(comparison: Comparison) -> str:
    names = [column.value for column in comparison.columns]
    titles = [f"{name}_{part}" for name in names for part in ("mean", "std")]
    lines: list[Sequence[object]] = [
        ("setting", "method", "target_sparsity", "budget", "n", "seeds", *titles, "differs_in")
    ]
    for row in comparison.rows:
        key = (row.setting, row.method, row.sparsity)
        numbers = [part for name in names for part in (row.of(name).mean, row.of(name).std)]
        seeds = " ".join(map(str, row.seeds))
        differs = "; ".join(one.fact for one in comparison.differences if key in one.rows)
        lines.append((*key, row.budget, len(row.cells), seeds, *numbers, differs))
    return _csv(lines)


def _csv_pairs(comparison: Comparison) -> str:
    lines: list[Sequence[object]] = [
        (
            *("setting", "target_sparsity", "budgets", "a", "b"),
            *("value", "named_beforehand", "n", "seeds"),
            *("mean", "std", "low", "high", "p", "p_holm", "synops_ratio", "differences"),
        )
    ]
    for one in comparison.contrasts:
        found = one.found
        lines.append(
            (
                *(one.setting, one.sparsity, " ".join(filter(None, one.budgets)), one.a, one.b),
                *(one.value, one.named, found.n),
                *(" ".join(map(str, one.seeds)), found.mean, found.std, found.low, found.high),
                *(found.p, one.corrected, one.synops),
                " ".join(map(repr, one.differences)),
            )
        )
    return _csv(lines)


_ESCAPES = {
    **{mark: rf"\{mark}" for mark in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "−": "$-$", "×": r"$\times$", "–": "--", "…": r"\dots{}", "µ": r"\textmu{}"},
    **{"<": "$<$", ">": "$>$", "\u00a0": "~"},
}


def _tex(text: str) -> str:
    return re.sub(r"[&%$#_{}\\~^±−×–…µ<>\u00a0]", lambda match: _ESCAPES[match[0]], text)


def _latex(comparison: Comparison) -> str:
    """Return LaTeX that needs the package booktabs; the notes are comments."""
    table, pairs = grid_of_words(comparison)
    parts = ["\n".join(f"% {note}" for note in numbered(comparison))]
    parts += [_tabular(lines) for lines in (table, pairs) if lines]
    return "\n\n".join(part for part in parts if part) + "\n"


def _tabular(lines: Lines) -> str:
    rows = [" & ".join(map(_tex, line)) + r" \\" for line in lines]
    words = {"setting", "method", "contrast, a − b", "kind", "what it allows to say"}
    spec = "".join("l" if title in words else "r" for title in lines[0])
    head = [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", rows[0], r"\midrule"]
    return "\n".join([*head, *rows[1:], r"\bottomrule", r"\end{tabular}"])
