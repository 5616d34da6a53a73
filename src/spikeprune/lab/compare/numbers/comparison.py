"""A comparison as it stands: cells, rows, contrasts, and what a reader must be told."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from spikeprune.lab.compare.numbers.cells import Cell
from spikeprune.lab.compare.numbers.columns import CLAIM, Column, columns, terms
from spikeprune.lab.compare.numbers.rows_and_contrasts import (
    Contrast,
    Difference,
    Row,
    contrasts,
    differences_of,
    rows,
)


@dataclass(frozen=True)
class Comparison:
    """What tables, figures and page are made of.

    Attributes:
        cells: the finished ones.
        select: accuracy that is shown, `test` or `validation`.
        named: pairs named beforehand.
        explore: other pairs.
        missing: cells of the grid without a result.
        failed: why, for those that failed just now.
        config: YAML of the comparison; empty for runs that lie elsewhere.
    """

    cells: Sequence[Cell]
    select: str = "test"
    named: Iterable[tuple[str, str]] = ()
    explore: Iterable[tuple[str, str]] = ()
    missing: Sequence[str] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    config: str = ""

    @cached_property
    def rows(self) -> list[Row]:
        """The lines of the table."""
        return rows(self.cells)

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """The paired differences of the accuracy that is shown."""
        value = f"{self.select}_accuracy"
        return contrasts(self.cells, self.named, self.explore, value=value)

    @cached_property
    def differences(self) -> list[Difference]:
        """In what the runs differ."""
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
        """Sentences on cells that are not in the table."""
        said = [f"{name} failed: {reason}" for name, reason in self.failed.items()]
        rest = [name for name in self.missing if name not in self.failed]
        if rest:
            shown = ", ".join(rest[:_SHOWN]) + (" and more" if len(rest) > _SHOWN else "")
            said.append(f"{len(rest)} not finished: {shown}")
        return said

    @property
    def notes(self) -> list[str]:
        """What a reader must know; differences first, in the order of their numbers."""
        return [terms(one) for one in self.differences] + self.unfinished + self._caveats()

    def _caveats(self) -> list[str]:
        said = []
        counts = {len(row.cells) for row in self.rows}
        if len(counts) > 1:
            said.append(f"Rows have from {min(counts)} to {max(counts)} seeds.")
        if counts and min(counts) < 2:
            said.append("A row of one seed has no spread.")
        if counts and max(counts) < CLAIM:
            said.append(
                f"{max(counts)} seed{'s' if max(counts) > 1 else ''} at most: enough to explore, "
                f"not to claim; a claim takes a contrast named beforehand and {CLAIM} paired seeds."
            )
        if self.select == "validation":
            said.append(
                "Accuracy is that on the validation set, to choose by; what was chosen is reported "
                "on the test set with fresh seeds."
            )
        if self.contrasts:
            said.append(
                "Intervals are t-intervals of paired differences at 95 %; p-values are corrected "
                "(Holm) within the contrasts named beforehand, and within the exploratory ones."
            )
        return said


_SHOWN = 6
