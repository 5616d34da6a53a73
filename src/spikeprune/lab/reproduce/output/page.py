"""`reproduce.html`: the reproduced figures and tables as one self-contained page."""

from collections.abc import Sequence
from typing import Any

from spikeprune.lab.compare.numbers.rows_and_contrasts import rows
from spikeprune.lab.compare.output.page import (
    DEFINITIONS,
    cell_line,
    citations_of,
    facts_of_cells,
    fill_page,
    link,
)
from spikeprune.lab.report import terms
from spikeprune.lab.reproduce.output.charts import on_page
from spikeprune.lab.reproduce.output.documents import Circumstances, Folder, Reproduction

_TERMS = ("Criticality", "Kept, regrown", "Survival")


def render(reproduced: Sequence[Reproduction], facts: Circumstances, folder: Folder) -> str:
    """Return the page of all experiments; its links are relative to `folder`."""
    parts = [_part(one, folder) for one in reproduced]
    cells = list({cell.folder: cell for one in reproduced for cell in one.cells}.values())
    settings = dict.fromkeys(cell.setting for cell in cells)
    return fill_page(
        "reproduce.html",
        [figure for part in parts for figure in part["figures"]],
        [cell_line(cell, folder.path) for cell in cells],
        styles=("compare.css", "reproduce.css"),
        title=f"Figures and tables of the paper, scale {facts.scale}",
        facts=facts,
        parts=parts,
        settings=[(s, facts_of_cells([c for c in cells if c.setting == s])) for s in settings],
        definitions=[*DEFINITIONS, *(d for d in terms.DEFINITIONS if d[0] in _TERMS)],
        citations=citations_of(rows(cells), contrasts=bool(cells)),
    )


def _part(one: Reproduction, folder: Folder) -> dict[str, Any]:
    experiment, result = one.experiment, one.result
    files = [folder.of(experiment.name, kind) for kind in ("md", "json")] if result else []
    return {
        "name": experiment.name,
        "title": experiment.title,
        "shows": experiment.shows,
        "tables": result.tables if result else (),
        "figures": [on_page(chart) for chart in result.charts] if result else [],
        "notes": result.notes if result else (),
        "missing": one.missing,
        "files": [link(path, folder.path) for path in (*files, *one.files)],
    }
