"""Who is told of a run's progress: its history file, TensorBoard and the display."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from spikeprune.distributed.collectives import is_main
from spikeprune.files import append_row, keep_rows, read_rows
from spikeprune.lab.run.progress.display import Display

Row = Mapping[str, Any]
_PLACES = ("epoch", "epochs", "step", "event", "events")


class Tracker:
    """Writes a line of history per epoch and event, mirrors it to TensorBoard, and shows it.

    Of several processes only rank 0 reads and writes.

    Args:
        history: file of JSON lines.
        tensorboard: folder of TensorBoard events; None writes none.
        display: what a person sees.
        steps_per_epoch: optimiser steps, the horizontal axis of TensorBoard.
    """

    def __init__(
        self, history: Path, tensorboard: Path | None, display: Display, *, steps_per_epoch: int
    ) -> None:
        self._history, self._folder, self._display = history, tensorboard, display
        self._steps_per_epoch = steps_per_epoch
        self.rows = len(read_rows(history)) if is_main() else 0
        self._writer: Any = None

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def rows_before(self, stages: Collection[str]) -> int:
        """Return how many rows stand before the first one of these stages."""
        rows = read_rows(self._history) if is_main() else []
        return next((n for n, row in enumerate(rows) if row["stage"] in stages), len(rows))

    def rewind(self, rows: int) -> None:
        """Forget what was written after a checkpoint: those epochs are run again."""
        if is_main():
            keep_rows(self._history, rows)
        self.rows = rows

    def stage(self, name: str, detail: str = "") -> None:
        """Begin a stage."""
        self._display.stage(name, detail)

    def step(self, step: int, steps: int, *, epoch: int, epochs: int, loss: float) -> None:
        """Show a step."""
        self._display.step(step, steps, epoch=epoch, epochs=epochs, loss=loss)

    def epoch(self, row: Row) -> None:
        """Record an epoch."""
        self._write(row)
        self._display.epoch(row)

    def event(self, row: Row) -> None:
        """Record a pruning event."""
        self._write(row)
        self._display.event(row)

    def _write(self, row: Row) -> None:
        if not is_main():
            return
        append_row(self._history, row)
        self.rows += 1
        if self._folder is None:
            return
        if self._writer is None:
            rows = read_rows(self._history)
            self._writer = _started(self._folder, rows, steps_per_epoch=self._steps_per_epoch)
        else:
            _add(self._writer, row, self._steps_per_epoch)
        self._writer.flush()


def mirror(rows: Iterable[Row], folder: Path, *, steps_per_epoch: int) -> None:
    """Write history rows to a folder of TensorBoard events, as a `Tracker` would have."""
    _started(folder, rows, steps_per_epoch=steps_per_epoch).close()


def _started(folder: Path, rows: Iterable[Row], *, steps_per_epoch: int) -> Any:
    """Return a writer that has written the rows; those of an interrupted run are replaced."""
    from torch.utils.tensorboard import SummaryWriter

    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    writer = SummaryWriter(str(folder))
    for row in rows:
        _add(writer, row, steps_per_epoch)
    return writer


def _place(row: Row, steps_per_epoch: int) -> int:
    epoch: float = row["epoch"]
    return round(epoch * steps_per_epoch)


def _add(writer: Any, row: Row, steps_per_epoch: int) -> None:
    """Add an epoch's numbers as `loss`, an event's as `event/live`: nets compare in one chart."""
    prefix = "event/" if row["kind"] == "event" else ""
    for name, value in row.items():
        if isinstance(value, int | float) and name not in _PLACES:
            writer.add_scalar(prefix + name, value, _place(row, steps_per_epoch))
