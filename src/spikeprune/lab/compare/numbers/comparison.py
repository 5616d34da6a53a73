"""A comparison: cells, rows, contrasts, and notes for the reader."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from spikeprune.lab.compare.jobs.grid import Key
from spikeprune.lab.compare.numbers.cells import Cell
from spikeprune.lab.compare.numbers.columns import CLAIM, Column, columns, difference_words
from spikeprune.lab.compare.numbers.pareto import fronts
from spikeprune.lab.compare.numbers.rows_and_contrasts import (
    Contrast,
    Difference,
    Row,
    code_notes,
    contrasts,
    dead_notes,
    differences_of,
    rows,
    teacher_notes,
)
from spikeprune.lab.report.number_words import some


@dataclass(frozen=True)
class Comparison:
    """The finished runs of a grid, or runs from any folders, and which contrasts to show."""

    cells: Sequence[Cell]
    select: str = "test"  # accuracy that is shown, `test` or `validation`
    named: Iterable[tuple[str, str]] = ()  # pairs named beforehand
    explore: Iterable[tuple[str, str]] = ()  # exploratory pairs
    missing: Sequence[str] = ()  # names of the unfinished cells
    failed: Mapping[str, str] = field(default_factory=dict)  # reasons, by name of cell
    config: str = ""  # YAML of the grid; empty for runs from any folders

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of the table."""
        return rows(self.cells)

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """The contrasts of the accuracy that is shown."""
        value = f"{self.select}_accuracy"
        return contrasts(self.cells, self.named, self.explore, value=value)

    @cached_property
    def fronts(self) -> dict[str, frozenset[Key]]:
        """The rows that no other one dominates, by cost."""
        return fronts(self.rows, self.select)

    @cached_property
    def differences(self) -> list[Difference]:
        """The conditions in which the runs differ."""
        return differences_of(self.cells)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the table."""
        return columns(self.select)

    @property
    def settings(self) -> list[str]:
        """The settings, in the order of the table."""
        return list(dict.fromkeys(row.setting for row in self.rows))

    @property
    def unfinished(self) -> list[str]:
        """Notes on the cells that are not in the table."""
        notes = [f"{name} failed: {reason}" for name, reason in self.failed.items()]
        rest = [name for name in self.missing if name not in self.failed]
        return notes + ([f"{len(rest)} not finished: {some(rest, 6)}"] if rest else [])

    @property
    def notes(self) -> list[str]:
        """Notes for the reader: dead nets first, then the numbered differences."""
        numbered = enumerate(self.differences, start=1)
        differences = [f"[{number}] {difference_words(one)}" for number, one in numbered]
        about_runs = teacher_notes(self.cells) + code_notes(self.cells)
        dead = dead_notes(self.rows)
        return dead + differences + about_runs + self.unfinished + self._caveats()

    def _caveats(self) -> list[str]:
        notes = list(dict.fromkeys(note for cell in self.cells for note in cell.notes))
        counts = {len(row.cells) for row in self.rows}
        if len(counts) > 1:
            notes.append(f"Rows have from {min(counts)} to {max(counts)} seeds.")
        if counts and min(counts) < 2:
            notes.append("A row of one seed has no spread.")
        if counts and max(counts) < CLAIM:
            notes.append(
                f"{max(counts)} seed{'s' if max(counts) > 1 else ''} at most: enough to explore, "
                f"not to claim; a claim takes a contrast named beforehand and {CLAIM} paired seeds."
            )
        if any(self.fronts.values()):
            notes.append(
                "* marks the costs in which a row is not dominated: no other row, and no dense net "
                "of the rows' seeds, has at least its mean accuracy at no more than its mean cost "
                "and is better in one of them. The spread decides nothing."
            )
        if self.select == "validation":
            notes.append(
                "Accuracy is that on the validation set, to choose by; what was chosen is reported "
                "on the test set with fresh seeds."
            )
        if self.contrasts:
            notes.append(
                "Intervals are t-intervals of paired differences at 95 %; p-values are corrected "
                "(Holm) within the contrasts named beforehand, and within the exploratory ones."
            )
        return notes
