"""The results of experiments as JSON and Markdown files and as figures."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from spikeprune._version import __version__
from spikeprune.files import write_json, write_text
from spikeprune.lab.compare.numbers.cells import Cell
from spikeprune.lab.report import markdown
from spikeprune.lab.report.plotly_parts import finite
from spikeprune.lab.reproduce.experiment import Experiment, ExperimentResult
from spikeprune.lab.reproduce.output.print_figures import write_chart

SCHEMA = 1  # layout of an experiment's JSON file; the policy is that of `metrics.json`


@dataclass(frozen=True)
class Folder:
    """Files of a reproduction at one scale."""

    path: Path

    @property
    def cells(self) -> Path:
        """Folder of the run folders, and of the dense nets that they share."""
        return self.path / "cells"

    @property
    def measured(self) -> Path:
        """Folder of the measurements on nets, JSON."""
        return self.path / "measured"

    @property
    def figures(self) -> Path:
        """Folder of the figures for print."""
        return self.path / "figures"

    @property
    def page(self) -> Path:
        """The page, HTML."""
        return self.path / "reproduce.html"

    def of(self, name: str, kind: str) -> Path:
        """File of an experiment, `json` or `md`."""
        return self.path / f"{name}.{kind}"


@dataclass(frozen=True)
class Circumstances:
    """How the results came about: name, summary and evidence of the scale, and the call."""

    scale: str
    summary: str
    evidence: str
    command: str
    seeds: Sequence[int]
    cores: int | None


@dataclass(frozen=True)
class Reproduction:
    """One experiment as reproduced."""

    experiment: Experiment
    result: ExperimentResult | None  # None if runs are missing
    cells: Sequence[Cell]  # its finished runs
    missing: Sequence[str] = ()  # names of its unfinished runs
    files: Sequence[Path] = ()  # of its figures


def write_experiment(one: Reproduction, folder: Folder, facts: Circumstances) -> list[Path]:
    """Write the result of an experiment, and return the files of its figures."""
    experiment, result = one.experiment, one.result
    assert result is not None
    values = {
        "schema": SCHEMA,
        "spikeprune": __version__,
        "experiment": experiment.name,
        "title": experiment.title,
        **asdict(facts),
        "paper": list(experiment.shows),
        "tables": [table.as_json() for table in result.tables],
        "charts": [asdict(chart) for chart in result.charts],
        "notes": list(result.notes),
        "measured": dict(result.numbers),
        "cells": [cell.as_json(folder.path) for cell in one.cells],
    }
    write_json(folder.of(experiment.name, "json"), finite(values))
    write_text(folder.of(experiment.name, "md"), _markdown(experiment, result, facts))
    written = (write_chart(chart, folder.figures, facts.evidence) for chart in result.charts)
    return [path for paths in written for path in paths]


def _markdown(experiment: Experiment, result: ExperimentResult, facts: Circumstances) -> str:
    parts = [f"# {experiment.title}", f"{facts.evidence} `{facts.command}`"]
    parts.append(f"What the paper shows:\n\n{_list(experiment.shows)}")
    tables = [(one.caption, markdown.table(one.columns, one.texts)) for one in result.tables]
    parts += [f"## {caption}\n\n{table}" for caption, table in tables]
    if result.notes:
        parts.append(f"## Notes\n\n{_list(result.notes)}")
    return "\n\n".join(parts) + "\n"


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
