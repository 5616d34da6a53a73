"""Experiments as files: raw numbers (JSON), tables (Markdown), figures (SVG and PNG)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikeprune._version import __version__
from spikeprune.files import write_json, write_text
from spikeprune.lab.compare.numbers.cells import Cell
from spikeprune.lab.report.plotly_parts import finite
from spikeprune.lab.reproduce.experiment import Experiment, Section, Table
from spikeprune.lab.reproduce.output.print_figures import write_chart

SCHEMA = 1
"""Layout of an experiment's JSON file; the policy is that of `metrics.json`."""


@dataclass(frozen=True)
class Folder:
    """Files of one scale."""

    path: Path

    @property
    def cells(self) -> Path:
        """Folder of the run folders, and of the dense nets that they share."""
        return self.path / "cells"

    @property
    def measured(self) -> Path:
        """What was measured on the nets of finished runs, JSON."""
        return self.path / "measured"

    @property
    def figures(self) -> Path:
        """Figures for print."""
        return self.path / "figures"

    @property
    def page(self) -> Path:
        """All that was asked for, one HTML file."""
        return self.path / "reproduce.html"

    def of(self, name: str, kind: str) -> Path:
        """File of an experiment, `json` or `md`."""
        return self.path / f"{name}.{kind}"


@dataclass(frozen=True)
class Done:
    """An experiment with what it gave.

    Attributes:
        experiment: which.
        section: None where runs are missing.
        cells: its finished runs.
        missing: names of its runs without a result.
        files: that were written, of figures.
    """

    experiment: Experiment
    section: Section | None
    cells: Sequence[Cell]
    missing: Sequence[str] = ()
    files: Sequence[Path] = ()


def write_experiment(done: Done, folder: Folder, facts: Mapping[str, Any]) -> list[Path]:
    """Write what an experiment gave and return the files of its figures.

    Args:
        done: with a section.
        folder: of the scale.
        facts: what was asked for: command, scale and so on.
    """
    experiment, section = done.experiment, done.section
    assert section is not None
    values = {
        "schema": SCHEMA,
        "spikeprune": __version__,
        "experiment": experiment.name,
        "title": experiment.title,
        **facts,
        "paper": list(experiment.shows),
        "tables": [table.plain for table in section.tables],
        "charts": [asdict(chart) for chart in section.charts],
        "notes": list(section.notes),
        "measured": dict(section.numbers),
        "cells": [cell.row(folder.path) for cell in done.cells],
    }
    write_json(folder.of(experiment.name, "json"), finite(values))
    write_text(folder.of(experiment.name, "md"), _markdown(experiment, section, facts))
    return [
        path
        for chart in section.charts
        for path in write_chart(chart, folder.figures, facts["evidence"])
    ]


def _markdown(experiment: Experiment, section: Section, facts: Mapping[str, Any]) -> str:
    parts = [f"# {experiment.title}", f"{facts['evidence']} `{facts['command']}`"]
    parts.append("What the paper shows:\n\n" + _list(experiment.shows))
    parts += [f"## {table.caption}\n\n{_pipes(table)}" for table in section.tables]
    if section.notes:
        parts.append(f"## To be told with it\n\n{_list(section.notes)}")
    return "\n\n".join(parts) + "\n"


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _pipes(table: Table) -> str:
    words = [table.columns, *((cell.text for cell in row) for row in table.rows)]
    lines = [[word.replace("|", r"\|") for word in line] for line in words]
    rule = ["---"] * len(table.columns)
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))
