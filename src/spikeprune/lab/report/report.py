"""The run report: one HTML file, made from the files of a run folder alone."""

from collections.abc import Callable
from pathlib import Path

from spikeprune.files import write_text
from spikeprune.lab.report import summary
from spikeprune.lab.report.figures import activity, regrowth, structure, training
from spikeprune.lab.report.html import TableCell, render_page
from spikeprune.lab.report.number_words import percent, points
from spikeprune.lab.report.plotly_parts import Figure
from spikeprune.lab.report.run_record import RunRecord, read_record
from spikeprune.lab.report.terms import DEFINITIONS, citations
from spikeprune.lab.run_folder import RunFolder

_SECTIONS: tuple[tuple[str, str, tuple[Callable[[RunRecord], Figure], ...]], ...] = (
    ("training", "Training", (training.accuracy_figure, training.loss_figure)),
    ("structure", "Structure", (structure.density_figure, structure.cut_figure)),
    (
        "return",
        "Regrowth",
        (regrowth.regrowth_figure, regrowth.survival_figure, structure.criticality_figure),
    ),
    ("activity", "Activity", (activity.firing_figure, activity.synops_figure)),
    ("per-class", "Classes", (activity.classes_figure,)),
)


def write_report(folder: Path) -> Path:
    """Write `report.html` of a finished run, which needs no network, and return its path.

    Raises:
        RunError: The folder holds no finished run, broken files or a newer schema.
    """
    path = RunFolder(folder).report
    write_text(path, render(read_record(folder)))
    return path


def render(record: RunRecord) -> str:
    """Return the report of a run as one HTML document."""
    drawn = figures(record)
    sections = [{"key": key, "title": title, "figures": drawn[key]} for key, title, _ in _SECTIONS]
    return render_page(
        "report.html",
        [figure for section in drawn.values() for figure in section],
        title=summary.title(record),
        headline=summary.headline(record),
        warnings=record.warnings,
        notes=[str(note) for note in record.metrics.get("notes") or []],
        cards=summary.cards(record),
        facts=summary.facts(record),
        command=record.metrics.get("command") or "",
        config=record.config,
        sections=sections,
        layers=summary.layer_table(record),
        classes=[
            [
                TableCell(name),
                TableCell(percent(before), before),
                TableCell(percent(after), after),
                TableCell(points(after - before), after - before),
            ]
            for name, before, after in activity.class_changes(record)
        ],
        cost=summary.cost_rows(record),
        definitions=DEFINITIONS,
        citations=citations(record),
    )


def figures(record: RunRecord) -> dict[str, list[Figure]]:
    """Return the figures of the report by section, in reading order; some may be empty."""
    return {key: [draw(record) for draw in draws] for key, _, draws in _SECTIONS}
