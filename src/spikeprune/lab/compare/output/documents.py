"""A comparison as Markdown, CSV, LaTeX and JSON files."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from spikeprune.files import write_json, write_text
from spikeprune.lab.compare.numbers.comparison import Comparison
from spikeprune.lab.compare.numbers.rows_and_contrasts import Contrast, Row
from spikeprune.lab.compare.output.tables import (
    Table,
    comparison_table,
    contrast_table,
    front_table,
)
from spikeprune.lab.report import markdown
from spikeprune.lab.run_folder import ComparisonFolder

SCHEMA = 1  # layout of `cells.json`; the policy is that of `metrics.json`
Line = TypeVar("Line")


def write_documents(comparison: Comparison, folder: ComparisonFolder) -> None:
    """Write `cells.json`, the table in three formats, and the contrasts as CSV."""
    cells = [cell.as_json(folder.path) for cell in comparison.cells]
    write_json(folder.rows, {"schema": SCHEMA, "cells": cells})
    tables = [comparison_table(comparison)]
    if comparison.contrasts:
        tables.append(contrast_table(comparison))
    front = front_table(comparison)
    if front.rows:
        tables.append(front)
    write_text(folder.table("md"), _markdown(tables, comparison.notes))
    write_text(folder.table("tex"), _latex(tables, comparison.notes))
    write_text(folder.table("csv"), _csv(_row_fields(comparison), comparison.rows))
    write_text(folder.pairs, _csv(_CONTRAST_FIELDS, comparison.contrasts))


def _markdown(tables: Iterable[Table], notes: Iterable[str]) -> str:
    parts = [markdown.table(table.columns, table.texts) for table in tables]
    parts.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(filter(None, parts)) + "\n"


def _csv(fields: Mapping[str, Callable[[Line], object]], lines: Iterable[Line]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows([field(line) for field in fields.values()] for line in lines)
    return text.getvalue()


def _summary_fields(name: str) -> dict[str, Callable[[Row], object]]:
    return {
        f"{name}_mean": lambda row: row.summary(name).mean,
        f"{name}_std": lambda row: row.summary(name).std,
    }


def _row_fields(comparison: Comparison) -> dict[str, Callable[[Row], object]]:
    fields: dict[str, Callable[[Row], object]] = {
        "setting": lambda row: row.setting,
        "method": lambda row: row.method,
        "target_sparsity": lambda row: row.sparsity,
        "budget": lambda row: row.budget,
        "n": lambda row: len(row.cells),
        "seeds": lambda row: " ".join(map(str, row.seeds)),
    }
    for column in comparison.columns:
        fields |= _summary_fields(column.value)
    fields["not_dominated"] = lambda row: " ".join(
        cost for cost, keys in comparison.fronts.items() if row.key in keys
    )
    fields["dead_seeds"] = lambda row: " ".join(str(c.seed) for c in row.cells if c.warnings)
    fields["differs_in"] = lambda row: "; ".join(
        one.fact for one in comparison.differences if row.key in one.rows
    )
    return fields


_CONTRAST_FIELDS: dict[str, Callable[[Contrast], object]] = {
    "setting": lambda one: one.setting,
    "target_sparsity": lambda one: one.sparsity,
    "budgets": lambda one: " ".join(filter(None, one.budgets)),
    "a": lambda one: one.a,
    "b": lambda one: one.b,
    "value": lambda one: one.value,
    "named_beforehand": lambda one: one.named,
    "n": lambda one: one.paired.n,
    "seeds": lambda one: " ".join(map(str, one.seeds)),
    "mean": lambda one: one.paired.mean,
    "std": lambda one: one.paired.std,
    "low": lambda one: one.paired.low,
    "high": lambda one: one.paired.high,
    "p": lambda one: one.paired.p,
    "p_holm": lambda one: one.corrected,
    "synops_ratio": lambda one: one.synops,
    "differences": lambda one: " ".join(map(repr, one.differences)),
}
_ESCAPES = {mark: rf"\{mark}" for mark in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "–": "--",
    "…": r"\dots{}",
    "µ": r"\textmu{}",
    "<": "$<$",
    ">": "$>$",
    "\u00a0": "~",
}
_LEFT = {"setting", "method", "contrast, a − b", "kind", "what it allows to say"}


def _latex(tables: Iterable[Table], notes: Iterable[str]) -> str:
    """Return LaTeX that needs the package booktabs; the notes are comments."""
    parts = ["\n".join(f"% {note}" for note in notes), *map(_tabular, tables)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _tabular(table: Table) -> str:
    escapes = str.maketrans(_ESCAPES)
    title, *rows = (
        " & ".join(text.translate(escapes) for text in line) + r" \\"
        for line in (table.columns, *table.texts)
    )
    alignment = "".join("l" if title in _LEFT else "r" for title in table.columns)
    head = [rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", title, r"\midrule"]
    return "\n".join([*head, *rows, r"\bottomrule", r"\end{tabular}"])
