"""The run report: one HTML file that needs nothing but itself.

It reads the run folder only, so a report can be made anew at any time and anywhere.
"""

from pathlib import Path
from typing import Any

from spikeprune.files import write_text
from spikeprune.lab.report import summary as account
from spikeprune.lab.report import terms as references
from spikeprune.lab.report.figures.activity import class_changes
from spikeprune.lab.report.figures.all_figures import figures
from spikeprune.lab.report.html import asset, script_json, template
from spikeprune.lab.report.number_words import percent, points
from spikeprune.lab.report.plotly_parts import Figure
from spikeprune.lab.report.run_record import RunRecord, read_record
from spikeprune.lab.run_folder import RunFolder

_SECTIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("training", "Training", ("accuracy", "loss")),
    ("structure", "What lives", ("density", "cut")),
    ("return", "What came back", ("regrowth", "survival", "criticality")),
    ("activity", "Activity", ("firing", "synops")),
    ("per-class", "Classes", ("classes",)),
)


def write_report(folder: Path) -> Path:
    """Write `report.html` of a finished run and return its path.

    Reads `metrics.json`, `history.jsonl` and `config.yaml` of the folder, nothing else. The file
    holds its scripts, styles and figures (about 5 MB, nearly all of it Plotly) and asks the
    network for nothing. An older report is replaced only when the new one is complete.

    Args:
        folder: A run folder.

    Raises:
        RunError: The folder holds no finished run, broken files or a newer schema.
    """
    path = RunFolder(folder).report
    write_text(path, render(read_record(folder)))
    return path


def render(record: RunRecord) -> str:
    """Return the report of a run as one HTML document."""
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    drawn = figures(record)
    page: str = template("report.html").render(
        title=account.title(record),
        headline=account.headline(record),
        notes=[str(note) for note in record.metrics.get("notes") or []],
        cards=account.cards(record),
        facts=account.facts(record),
        command=record.metrics.get("command") or "",
        config=record.config,
        sections=_sections(drawn),
        layers=account.layer_table(record),
        classes=_class_rows(record),
        cost=account.cost_rows(record),
        definitions=references.DEFINITIONS,
        citations=references.citations(record),
        css=Markup(asset("report.css")),
        script=Markup(asset("report.js")),
        plotly=Markup(get_plotlyjs()),
        specs=Markup(script_json({figure.key: figure.spec for figure in drawn if figure.spec})),
    )
    return page


def _sections(drawn: tuple[Figure, ...]) -> list[dict[str, Any]]:
    by_key = {figure.key: figure for figure in drawn}
    return [
        {"key": key, "title": title, "figures": [by_key[name] for name in names]}
        for key, title, names in _SECTIONS
    ]


def _class_rows(record: RunRecord) -> list[list[account.Cell]]:
    return [
        [
            account.Cell(name),
            account.Cell(percent(before), before),
            account.Cell(percent(after), after),
            account.Cell(points(after - before), after - before),
        ]
        for name, before, after in class_changes(record)
    ]
