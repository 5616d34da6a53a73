"""A stretch of epochs of a training stage, with its part of the learning-rate schedule."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """A named stretch of epochs.

    Attributes:
        name: for the history.
        epochs: how many.
        skipped: None where all phases share one learning-rate schedule; else this phase has one of
            its own, which begins that many epochs in.
        begin: called once before the first of the epochs.
        keep: called before the epoch of that number (from 0), also again where a run goes on there.
    """

    name: str
    epochs: int
    skipped: int | None = None
    begin: Callable[[], None] | None = None
    keep: tuple[int, Callable[[], None]] | None = None

    def progress(self, epoch: float, total: int, *, before: int) -> float:
        """Return how far the learning-rate schedule is, in [0, 1).

        Args:
            epoch: epochs of the stage that are over.
            total: epochs of the stage.
            before: epochs of the stage before this phase.
        """
        if self.skipped is None:
            return epoch / total
        return (self.skipped + epoch - before) / (self.skipped + self.epochs)

    def prepare(self, epoch: int) -> None:
        """Call what is due before epoch `epoch` (from 0) of this phase."""
        if epoch == 0 and self.begin is not None:
            self.begin()
        if self.keep is not None and self.keep[0] == epoch:
            self.keep[1]()
