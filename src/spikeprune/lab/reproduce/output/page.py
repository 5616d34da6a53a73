"""`reproduce.html`: all figures and tables that were asked for, on one page."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from spikeprune.lab.compare.numbers.cells import Cell
from spikeprune.lab.compare.numbers.rows_and_contrasts import rows
from spikeprune.lab.compare.output.page import (
    CELL_COLUMNS,
    DEFINITIONS,
    cell_line,
    citations_of,
    facts_of_cells,
)
from spikeprune.lab.report import terms as references
from spikeprune.lab.report.html import render_page
from spikeprune.lab.reproduce.output.charts import on_page
from spikeprune.lab.reproduce.output.documents import Done, Folder
from spikeprune.lab.run_folder import ComparisonFolder

_TERMS = ("Criticality", "Kept, regrown", "Survival")


def render(done: Sequence[Done], facts: Mapping[str, Any], folder: Folder) -> str:
    """Return the page as one HTML document.

    Args:
        done: every experiment that was asked for.
        facts: scale, command, seeds and so on.
        folder: where it will lie; links are relative to it.
    """
    parts = [_part(one, folder) for one in done]
    figures = [figure for part in parts for figure in part["figures"]]
    cells = list({cell.folder: cell for one in done for cell in one.cells}.values())
    return render_page(
        "reproduce.html",
        figures,
        styles=("report.css", "compare.css", "reproduce.css"),
        title=f"Figures and tables of the paper, scale {facts['scale']}",
        facts=facts,
        parts=parts,
        settings=_settings(cells),
        cells=[cell_line(cell, ComparisonFolder(folder.path)) for cell in cells],
        cell_columns=CELL_COLUMNS,
        definitions=[*DEFINITIONS, *(d for d in references.DEFINITIONS if d[0] in _TERMS)],
        citations=citations_of(rows(cells), contrasts=bool(cells)),
    )


def _part(done: Done, folder: Folder) -> dict[str, Any]:
    experiment, section = done.experiment, done.section
    files = [folder.of(experiment.name, kind) for kind in ("md", "json")] if section else []
    return {
        "name": experiment.name,
        "title": experiment.title,
        "shows": experiment.shows,
        "tables": section.tables if section else (),
        "figures": [on_page(chart) for chart in section.charts] if section else [],
        "notes": section.notes if section else (),
        "missing": done.missing,
        "files": [_link(path, folder) for path in (*files, *done.files)],
    }


def _settings(cells: Sequence[Cell]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return on what the runs of every setting were run."""
    names = dict.fromkeys(cell.setting for cell in cells)
    return [(n, facts_of_cells([cell for cell in cells if cell.setting == n])) for n in names]


def _link(path: Path, folder: Folder) -> str:
    return quote(os.path.relpath(path, folder.path).replace(os.sep, "/"))
