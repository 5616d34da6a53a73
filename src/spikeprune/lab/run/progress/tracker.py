"""Record the progress of a run in its history file and TensorBoard, and show it."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from spikeprune.distributed.collectives import is_main
from spikeprune.files import append_row, keep_rows, read_rows
from spikeprune.lab.run.progress.display import Display, Row

_PLACES = ("epoch", "epochs", "step", "event", "events")


class Tracker:
    """Writes each epoch and event to the history and to TensorBoard, and shows it.

    Only rank 0 reads and writes. `tensorboard` is a folder; None writes nothing there.
    """

    def __init__(
        self, history: Path, tensorboard: Path | None, display: Display, *, steps_per_epoch: int
    ) -> None:
        self._history, self._folder, self.display = history, tensorboard, display
        self._steps_per_epoch = steps_per_epoch
        self.rows = len(read_rows(history)) if is_main() else 0
        self._writer: Any = None

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def rows_before(self, stages: Collection[str]) -> int:
        """Return the number of rows before the first row of these stages."""
        rows = read_rows(self._history) if is_main() else []
        return next((n for n, row in enumerate(rows) if row["stage"] in stages), len(rows))

    def rewind(self, rows: int) -> None:
        """Drop the rows after a checkpoint, whose epochs run again."""
        if is_main():
            keep_rows(self._history, rows)
        self.rows = rows

    def epoch(self, row: Row) -> None:
        """Record an epoch."""
        self._write(row)
        self.display.epoch(row)

    def event(self, row: Row) -> None:
        """Record a pruning event."""
        self._write(row)
        self.display.event(row)

    def _write(self, row: Row) -> None:
        if not is_main():
            return
        append_row(self._history, row)
        self.rows += 1
        if self._folder is None:
            return
        if self._writer is None:
            rows = read_rows(self._history)
            self._writer = _new_writer(self._folder, rows, steps_per_epoch=self._steps_per_epoch)
        else:
            _add(self._writer, row, self._steps_per_epoch)
        self._writer.flush()


def mirror(rows: Iterable[Row], folder: Path, *, steps_per_epoch: int) -> None:
    """Write history rows to a folder of TensorBoard events, as a `Tracker` does."""
    _new_writer(folder, rows, steps_per_epoch=steps_per_epoch).close()


def _new_writer(folder: Path, rows: Iterable[Row], *, steps_per_epoch: int) -> Any:
    """Replace the TensorBoard events of a folder by these rows; return the open writer."""
    from torch.utils.tensorboard import SummaryWriter

    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    writer = SummaryWriter(str(folder))
    for row in rows:
        _add(writer, row, steps_per_epoch)
    return writer


def _add(writer: Any, row: Row, steps_per_epoch: int) -> None:
    """Add an epoch's numbers as `loss`, an event's as `event/live`: nets share a chart."""
    prefix = "event/" if row["kind"] == "event" else ""
    step = round(row["epoch"] * steps_per_epoch)
    for name, value in row.items():
        if isinstance(value, int | float) and name not in _PLACES:
            writer.add_scalar(prefix + name, value, step)
