"""Record the progress of a run in its history file and TensorBoard, and show it."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spikeprune import limits
from spikeprune.distributed.collectives import is_main
from spikeprune.files import append_line, as_line, decoded, read_text, write_text
from spikeprune.lab.report.run_rows import HistoryRow
from spikeprune.lab.run.locks import Claim
from spikeprune.lab.run.progress.display import Display, Row

_PLACES = ("epoch", "epochs", "step", "event", "events")


class Tracker:
    """Writes each epoch and event to the history and to TensorBoard, and shows it.

    Only rank 0 reads and writes. `tensorboard` is a folder; None writes nothing there. `claim` is
    the file that is held to write there.
    """

    def __init__(
        self,
        history: Path,
        tensorboard: Path | None,
        display: Display,
        *,
        steps_per_epoch: int,
        claim: Claim | None = None,
    ) -> None:
        self._history, self._folder, self.display = history, tensorboard, display
        self._claim = claim
        self._steps_per_epoch = steps_per_epoch
        self._writer: Any = None
        self._lines: list[str] = []
        if is_main() and history.exists():
            text = read_text(history, limit=limits.ROWS_BYTES)
            # A crash may have cut the last line off.
            self._lines = text.splitlines(keepends=True)[: text.count("\n")]

    def close(self) -> None:
        """Close TensorBoard's file."""
        with optional(self.display):
            if self._writer is not None:
                self._writer.close()
        self._writer = None

    def require_claim(self) -> None:
        """Refuse to write into a folder that was removed or replaced meanwhile."""
        if self._claim is not None:
            self._claim.require()

    def history(self) -> str:
        """Return all rows so far, as the history file has them."""
        return "".join(self._lines)

    def forget(self, stages: Collection[str]) -> None:
        """Drop the first row of these stages and all that follow: they are trained again."""
        rows = _rows(self._lines, self._history)
        first = next((n for n, row in enumerate(rows) if row.get("stage") in stages), len(rows))
        self._rewrite(self._lines[:first])

    def restore(self, history: str, *, last: bool) -> None:
        """Go on from the history of a checkpoint; with `last` no further rows follow it.

        What was lost or changed in the file since is put back.
        """
        if last or not self.history().startswith(history):
            self._rewrite(history.splitlines(keepends=True))

    def keep(self, rows: int) -> None:
        """Go on from a checkpoint of version 0.1, which has only the number of its rows."""
        self._rewrite(self._lines[:rows])

    def _rewrite(self, lines: list[str]) -> None:
        self._lines = lines
        if is_main() and (lines or self._history.exists()):
            write_text(self._history, self.history())

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
        self.require_claim()
        self._lines.append(as_line(row))
        append_line(self._history, self._lines[-1])
        with optional(self.display, failed=self._without_board):
            self._draw(row)

    def _draw(self, row: Row) -> None:
        """Write a row for TensorBoard; at first all rows."""
        if self._folder is None:
            return
        if self._writer is None:
            rows = _rows(self._lines, self._history)
            self._writer = _new_writer(self._folder, rows, steps_per_epoch=self._steps_per_epoch)
        else:
            _add(self._writer, row, self._steps_per_epoch)
        self._writer.flush()

    def _without_board(self) -> None:
        self._folder = self._writer = None


@contextmanager
def optional(display: Display, failed: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Go on without TensorBoard if it cannot be written: the history has the same numbers."""
    try:
        yield
    except OSError as error:
        display.message(f"TensorBoard's files cannot be written ({error.strerror}); left out")
        failed()


def _rows(lines: Iterable[str], history: Path) -> list[Row]:
    return [
        decoded(line.encode(), HistoryRow, f"line {n} of {history}")
        for n, line in enumerate(lines, start=1)
    ]


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
