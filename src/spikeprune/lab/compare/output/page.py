"""`compare.html`: the comparison on one page that needs nothing but itself."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from spikeprune.lab.compare.numbers.cells import Cell
from spikeprune.lab.compare.numbers.columns import contrast_values, name_of, target
from spikeprune.lab.compare.numbers.comparison import Comparison
from spikeprune.lab.compare.numbers.rows_and_contrasts import Row
from spikeprune.lab.compare.numbers.run_facts import FACTS
from spikeprune.lab.compare.output.documents import grid_of_words, numbered
from spikeprune.lab.compare.output.plotly_figures import figures
from spikeprune.lab.report import terms as references
from spikeprune.lab.report.html import TableCell as Shown
from spikeprune.lab.report.html import render_page
from spikeprune.lab.report.number_words import amount, duration, percent, points
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
        "choice of seeds, and nothing about other data or nets.",
    ),
    (
        "Wall time",
        "Training time as it was, with other runs at work beside it if there were any; training "
        "FLOPs compare better.",
    ),
    (
        "Named beforehand, exploratory",
        "A contrast named before there were results can carry a claim. All others are hints: of "
        "many, some look large by chance. Holm's correction is made within each of the two kinds.",
    ),
    *(one for one in references.DEFINITIONS if one[0] in _TERMS),
)
_STATISTICS = (
    ("Student: The probable error of a mean. Biometrika 6, 1908.", ""),
    (
        "S. Holm: A simple sequentially rejective multiple test procedure. Scandinavian Journal of "
        "Statistics 6, 1979.",
        "",
    ),
)
CELL_COLUMNS = (
    *("run", "method", "target", "seed", "test accuracy", "validation accuracy", "drop"),
    *("sparsity reached", "SynOps", "wall time", "code"),
)


def render(comparison: Comparison, folder: ComparisonFolder, prints: Sequence[Path] = ()) -> str:
    """Return the page as one HTML document.

    Args:
        comparison: what it shows.
        folder: where it will lie; links are relative to it.
        prints: files of the figures for print.
    """
    drawn = figures(comparison)
    table, pairs = grid_of_words(comparison)
    return render_page(
        "compare.html",
        drawn,
        styles=("report.css", "compare.css"),
        title=_title(comparison),
        headline=_headline(comparison),
        notes=numbered(comparison),
        columns=table[0],
        table=_table(comparison),
        contrasts=_contrasts(comparison, pairs[1:]),
        contrast_columns=pairs[0] if pairs else (),
        contrast_caption=f"Paired differences of {comparison.select} accuracy, a − b",
        figures=drawn,
        facts=facts_of_cells(comparison.cells),
        config=comparison.config,
        files=[_link(path, folder) for path in _files(folder, comparison)],
        prints=[_link(path, folder) for path in prints],
        cells=[cell_line(cell, folder) for cell in comparison.cells],
        cell_columns=CELL_COLUMNS,
        definitions=DEFINITIONS,
        citations=citations_of(comparison.rows, contrasts=bool(comparison.contrasts)),
    )


def _title(comparison: Comparison) -> str:
    settings = comparison.settings
    return f"Comparison on {settings[0] if len(settings) == 1 else f'{len(settings)} settings'}"


def _headline(comparison: Comparison) -> str:
    methods = list(dict.fromkeys(row.method for row in comparison.rows))
    pruned = sorted((r.sparsity, r.budget or "") for r in comparison.rows if r.sparsity is not None)
    targets = dict.fromkeys(target(*one) for one in pruned)
    seeds = len({cell.seed for cell in comparison.cells})
    done, left = len(comparison.cells), len(comparison.missing)
    words = [_several(len(methods), "method"), _several(seeds, "seed")]
    if targets:
        words.insert(1, f"target {', '.join(targets)}")
    state = f"{done} of {done + left} runs are finished" if left else _several(done, "run")
    return f"{'; '.join(words)}. {state}."


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _table(comparison: Comparison) -> list[list[Shown]]:
    several, lines = len(comparison.settings) > 1, []
    for row in comparison.rows:
        head = [Shown(row.setting)] if several else []
        head += [
            Shown(name_of(row, comparison.differences)),
            Shown(target(row.sparsity, row.budget), row.sparsity),
            Shown(str(len(row.cells)), len(row.cells)),
        ]
        lines.append(head + [Shown(c.text(row), row.of(c.value).mean) for c in comparison.columns])
    return lines


def _contrasts(comparison: Comparison, lines: Iterable[tuple[str, ...]]) -> list[list[Shown]]:
    shown = []
    for one, words in zip(comparison.contrasts, lines, strict=True):
        values = contrast_values(one)
        values = (None,) * (len(words) - len(values)) + values  # the setting comes first
        shown.append([Shown(word, value) for word, value in zip(words, values, strict=True)])
    return shown


def _files(folder: ComparisonFolder, comparison: Comparison) -> list[Path]:
    tables = [folder.table(kind) for kind in ("md", "csv", "tex")]
    return [*tables, *([folder.pairs] if comparison.contrasts else ()), folder.rows]


def _link(path: Path, folder: ComparisonFolder) -> str:
    return quote(os.path.relpath(path, folder.path).replace(os.sep, "/"))


def facts_of_cells(cells: Iterable[Cell]) -> list[tuple[str, str]]:
    """Return what runs were run on, each fact with all its values."""
    cells = list(cells)
    found = ((fact, sorted({cell.facts[fact] for cell in cells})) for fact in FACTS)
    return [(fact[0].upper() + fact[1:], " | ".join(values)) for fact, values in found if values]


def cell_line(cell: Cell, folder: ComparisonFolder) -> list[Shown]:
    """Return a finished run as a line under `CELL_COLUMNS`; its link is relative to `folder`."""
    values, link = cell.values, _link(RunFolder(cell.folder).report, folder)
    return [
        Shown(cell.folder.name, link=link),
        Shown(cell.method),
        Shown(target(cell.sparsity, cell.budget), cell.sparsity),
        Shown(str(cell.seed), cell.seed),
        Shown(percent(values["test_accuracy"]), values["test_accuracy"]),
        Shown(percent(values["validation_accuracy"]), values["validation_accuracy"]),
        Shown(points(values["drop"]), values["drop"]),
        Shown(percent(values["sparsity"]), values["sparsity"]),
        Shown(amount(values["synops"]), values["synops"]),
        Shown(duration(values["wall_seconds"]), values["wall_seconds"]),
        Shown(cell.facts["code"]),
    ]


def citations_of(rows: Iterable[Row], *, contrasts: bool) -> list[tuple[str, str]]:
    """Return what all methods of a table rest on, and its contrasts if any, each source once."""
    records = (read_record(row.cells[0].folder) for row in rows)
    found = [source for record in records for source in references.citations(record)]
    return list(dict.fromkeys([*found, *(_STATISTICS if contrasts else ())]))
