"""`compare.html`: a comparison as one self-contained page."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from spikeprune.lab.compare.numbers.cells import Cell
from spikeprune.lab.compare.numbers.columns import target
from spikeprune.lab.compare.numbers.comparison import Comparison
from spikeprune.lab.compare.numbers.rows_and_contrasts import DEAD, Row
from spikeprune.lab.compare.numbers.run_facts import FACTS
from spikeprune.lab.compare.output.plotly_figures import figures
from spikeprune.lab.compare.output.tables import comparison_table, contrast_table, front_table
from spikeprune.lab.report import terms
from spikeprune.lab.report.html import TableCell, render_page
from spikeprune.lab.report.number_words import amount, duration, percent, points
from spikeprune.lab.report.plotly_parts import Figure
from spikeprune.lab.report.run_record import read_record
from spikeprune.lab.run_folder import ComparisonFolder, RunFolder

_TERMS = ("Density, sparsity", "SynOps", "Energy", "Training FLOPs")
DEFINITIONS: tuple[tuple[str, str], ...] = (
    (
        "Drop",
        "Accuracy of the dense net of the same seed minus that of the pruned net, in percentage "
        "points. The dense net has the same data, schedule and total number of epochs.",
    ),
    (
        "Paired contrast",
        "Mean over the seeds of accuracy of a minus accuracy of b at the same seed. The interval "
        "is Student's for paired differences at 95 %; it says how far the mean may be off by the "
        "choice of seeds, and nothing about other data or nets. SynOps, a / b, is the mean over "
        "the seeds of the ratio at the same seed.",
    ),
    (
        "Not dominated",
        "A row is dominated if another one has at least its mean accuracy at no more than its mean "
        "cost, and is better in one of the two. Of equal rows both stay. Dense nets compete, too; "
        "rows with a dead net take no part. The means decide alone: where bars overlap, other "
        "seeds may decide otherwise.",
    ),
    (
        "Wall time",
        "Training time as measured, also while other runs shared the machine; training FLOPs "
        "compare better.",
    ),
    (
        "Named beforehand, exploratory",
        "A contrast named before there were results can support a claim. All others are hints: "
        "among many, some look large by chance. Holm's correction is made within each kind.",
    ),
    *(one for one in terms.DEFINITIONS if one[0] in _TERMS),
)
_STUDENT = "Student: The probable error of a mean. Biometrika 6, 1908."
_HOLM = (
    "S. Holm: A simple sequentially rejective multiple test procedure. Scandinavian Journal of "
    "Statistics 6, 1979."
)


def render(comparison: Comparison, folder: ComparisonFolder, prints: Sequence[Path] = ()) -> str:
    """Return the page of a comparison, with links relative to `folder`."""
    settings = comparison.settings
    table, contrasts = comparison_table(comparison), contrast_table(comparison)
    front = front_table(comparison)
    files = [folder.table("md"), folder.table("csv"), folder.table("tex")]
    files += [folder.pairs, folder.rows] if comparison.contrasts else [folder.rows]
    on = settings[0] if len(settings) == 1 else f"{len(settings)} settings"
    return fill_page(
        "compare.html",
        figures(comparison),
        [cell_line(cell, folder.path) for cell in comparison.cells],
        styles=("compare.css",),
        title=f"Comparison on {on}",
        headline=_headline(comparison),
        notes=comparison.notes,
        columns=table.columns,
        table=table.rows,
        front=front.rows,
        front_columns=front.columns,
        front_caption=front.caption,
        contrasts=contrasts.rows,
        contrast_columns=contrasts.columns,
        contrast_caption=contrasts.caption,
        facts=facts_of_cells(comparison.cells),
        config=comparison.config,
        files=[link(path, folder.path) for path in files],
        prints=[link(path, folder.path) for path in prints],
        definitions=DEFINITIONS,
        citations=citations_of(comparison.rows, contrasts=bool(comparison.contrasts)),
    )


def fill_page(
    name: str,
    drawn: Sequence[Figure],
    cells: Sequence[Mapping[str, TableCell]],
    *,
    styles: Sequence[str],
    **values: Any,
) -> str:
    """Return a template filled with figures, values, the report's styles and further ones."""
    return render_page(
        name,
        drawn,
        ("report.css", *styles),
        figures=drawn,
        cells=[line.values() for line in cells],
        cell_columns=list(cells[0]) if cells else [],
        **values,
    )


def _headline(comparison: Comparison) -> str:
    def counted(count: int, noun: str) -> str:
        return f"{count} {noun}{'' if count == 1 else 's'}"

    methods = {row.method for row in comparison.rows}
    pruned = sorted((r.sparsity, r.budget or "") for r in comparison.rows if r.sparsity is not None)
    targets = dict.fromkeys(target(sparsity, budget) for sparsity, budget in pruned)
    seeds = {cell.seed for cell in comparison.cells}
    done, left = len(comparison.cells), len(comparison.missing)
    words = [counted(len(methods), "method"), counted(len(seeds), "seed")]
    if targets:
        words.insert(1, f"target {', '.join(targets)}")
    state = f"{done} of {done + left} runs are finished" if left else counted(done, "run")
    return f"{'; '.join(words)}. {state}."


def link(path: Path, folder: Path) -> str:
    """Return the address of a file for a page in `folder`."""
    return quote(os.path.relpath(path, folder).replace(os.sep, "/"))


def facts_of_cells(cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """Return the conditions of runs, each with all its values."""
    found = ((fact, sorted({cell.facts[fact] for cell in cells})) for fact in FACTS)
    return [(fact[0].upper() + fact[1:], " | ".join(values)) for fact, values in found if values]


def cell_line(cell: Cell, folder: Path) -> dict[str, TableCell]:
    """Return the line of a finished run by column, for a page in `folder`."""

    def number(name: str, words: Callable[[Any], str]) -> TableCell:
        return TableCell(words(cell.values[name]), cell.values[name])

    name = cell.folder.name + (f" {DEAD}" if cell.warnings else "")
    return {
        "run": TableCell(name, link=link(RunFolder(cell.folder).report, folder)),
        "method": TableCell(cell.method),
        "target": TableCell(target(cell.sparsity, cell.budget), cell.sparsity),
        "teacher": TableCell(cell.facts["teacher"]),
        "seed": TableCell(str(cell.seed), cell.seed),
        "test accuracy": number("test_accuracy", percent),
        "validation accuracy": number("validation_accuracy", percent),
        "drop": number("drop", points),
        "sparsity reached": number("sparsity", percent),
        "SynOps": number("synops", amount),
        "wall time": number("wall_seconds", duration),
        "code": TableCell(cell.facts["code"]),
    }


def citations_of(rows: Iterable[Row], *, contrasts: bool) -> list[tuple[str, str]]:
    """Return the sources of the methods of a table, and of its contrasts if any, each once."""
    records = (read_record(row.cells[0].folder) for row in rows)
    found = [source for record in records for source in terms.citations(record)]
    return list(dict.fromkeys([*found, *([(_STUDENT, ""), (_HOLM, "")] if contrasts else [])]))
