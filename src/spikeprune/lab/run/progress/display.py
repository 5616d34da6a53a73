"""What a run shows while it works: a live display in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from spikeprune.errors import SpikePruneError
from spikeprune.lab.report.run_record import read_record
from spikeprune.lab.report.summary import cards

Row = Mapping[str, Any]
_REFRESH = 0.25  # seconds


class Display(Protocol):
    """What a run tells its watcher; a context manager. Rows are those of `history.jsonl`."""

    def __enter__(self) -> Self:
        """Start showing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing, whatever happened."""

    def stage(self, name: str, detail: str = "") -> None:
        """Begin a stage, such as `dense`, `prune`, `finetune`, `cut`, `evaluate`, `report`."""

    def step(self, step: int, steps: int, *, epoch: int, epochs: int, loss: float) -> None:
        """Tell of a finished optimiser step, `step` of `steps` in `epoch` of `epochs`, from 1."""

    def epoch(self, row: Row) -> None:
        """Tell of a finished epoch: a history row of kind `epoch`."""

    def event(self, row: Row) -> None:
        """Tell of a pruning event: a history row of kind `event`."""

    def message(self, text: str) -> None:
        """Say something that stays to be read."""

    def done(self, report: Path) -> None:
        """Tell that the run is finished and where its report is."""


class Silent:
    """A display that shows nothing: for tests and use from Python."""

    def __enter__(self) -> Self:
        """Do nothing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing."""

    def stage(self, name: str, detail: str = "") -> None:
        """Show nothing."""

    def step(self, step: int, steps: int, *, epoch: int, epochs: int, loss: float) -> None:
        """Show nothing."""

    def epoch(self, row: Row) -> None:
        """Show nothing."""

    def event(self, row: Row) -> None:
        """Show nothing."""

    def message(self, text: str) -> None:
        """Show nothing."""

    def done(self, report: Path) -> None:
        """Show nothing."""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _facts(row: Row) -> list[str]:
    """Return what a history row tells, in words; keys that are absent or null are left out."""
    facts = []
    for key, form in (
        ("loss", "loss {:.4f}"),
        ("validation_accuracy", "validation {:.2%}"),
        ("density", "density {:.2%}"),
        ("live", "live {:,}"),
        ("regrown", "regrown {:,}"),
        ("dead_and_returned", "dead before {:,}"),
        ("survival", "survival {:.0%}"),
        ("lr", "lr {:.3g}"),
    ):
        if row.get(key) is not None:
            facts.append(form.format(row[key]).replace("%", " %"))
    return facts


def _epoch_line(row: Row) -> str:
    count = f"epoch {row.get('epoch')}/{row.get('epochs')}"
    parts = [f"{row.get('stage', ''):<9}", count, *_facts(row)]
    if row.get("seconds") is not None:
        parts.append(_clock(row["seconds"]))
    return "  ".join(parts)


def _event_line(row: Row) -> str:
    count = f"event {row.get('event')}/{row.get('events')}"
    return "  ".join([f"{row.get('stage', ''):<9}", count, *_facts(row)])


def _show_result(console: Console, report: Path) -> None:
    """Print the net before and after, if the run wrote its metrics, and where the report is."""
    try:
        rows = cards(read_record(report.parent))
    except SpikePruneError:  # a report without metrics beside it is still a report
        rows = ()
    if rows:
        table = Table("", "dense", "pruned", "", box=None, pad_edge=False, header_style="bold")
        for card in rows:
            table.add_row(card.label, card.before, card.after, card.delta)
        console.print(table)
    console.print(Text(f"report: {report}"), soft_wrap=True)


class _Pace:
    """Time left of a stage, from the steps since the stage began or was taken up again."""

    def __init__(self) -> None:
        self._start: tuple[float, int] | None = None

    def left(self, done: int, total: int) -> float | None:
        """Return the seconds left after `done` of `total` steps, None at the first call."""
        now = time.monotonic()
        if self._start is None:
            self._start = (now, done)
            return None
        began, first = self._start
        return (now - began) / (done - first) * (total - done) if done > first else None


class PlainDisplay:
    """A timestamped line per stage, epoch and event, for logs and pipes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to undo: every line is flushed at once."""

    def message(self, text: str) -> None:
        """Print a line with the time of day."""
        print(f"{time.strftime('%H:%M:%S')}  {text}", file=self._stream, flush=True)

    def stage(self, name: str, detail: str = "") -> None:
        """Print the stage's name."""
        self.message(f"{name:<9}  {detail}".rstrip())

    def step(self, step: int, steps: int, *, epoch: int, epochs: int, loss: float) -> None:
        """Print nothing: a line a step is no log."""

    def epoch(self, row: Row) -> None:
        """Print the epoch and the time that the stage will take from here."""
        rest = row.get("epochs", 0) - row.get("epoch", 0)
        left = f"  left {_clock(rest * row['seconds'])}" if rest and row.get("seconds") else ""
        self.message(_epoch_line(row) + left)

    def event(self, row: Row) -> None:
        """Print the event."""
        self.message(_event_line(row))

    def done(self, report: Path) -> None:
        """Print the result and where the report is."""
        _show_result(Console(file=self._stream, width=100, color_system=None), report)


class LiveDisplay:
    """The state of the run in place, in a terminal; finished epochs scroll by above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._pace = _Pace()
        self._stage, self._detail = "", ""
        self._progress: tuple[int, int, str] | None = None
        self._facts: dict[str, list[str]] = {}
        self._drawn = 0.0

    def __enter__(self) -> Self:
        """Start drawing."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the terminal back, whatever happened."""
        self._live.stop()

    def stage(self, name: str, detail: str = "") -> None:
        """Begin a stage with an empty progress bar."""
        self._stage, self._detail = name, detail
        self._pace, self._progress, self._facts = _Pace(), None, {}
        self.message(f"{name:<9}  {detail}".rstrip(), style="bold")

    def step(self, step: int, steps: int, *, epoch: int, epochs: int, loss: float) -> None:
        """Move the bar; draws at most four times a second."""
        done, total = (epoch - 1) * steps + step, epochs * steps
        left = self._pace.left(done, total)
        words = f"epoch {epoch}/{epochs}  step {step}/{steps}"
        if left is not None:
            words += f"  time left {_clock(left)}"
        self._progress = (done, total, words)
        self._facts["step"] = [f"loss {loss:.4f}"]
        if time.monotonic() - self._drawn > _REFRESH:
            self._draw()

    def epoch(self, row: Row) -> None:
        """Let the finished epoch scroll by."""
        accuracy = row.get("validation_accuracy")
        self._facts["epoch"] = _facts({"validation_accuracy": accuracy})
        self.message(_epoch_line(row))

    def event(self, row: Row) -> None:
        """Show the event's counts until the next one."""
        count = f"event {row.get('event')}/{row.get('events')}"
        self._facts["event"] = [count, *_facts(row)]
        self._draw()

    def message(self, text: str, style: str = "") -> None:
        """Print above the live part."""
        self._console.print(Text(text, style=style), highlight=False)
        self._draw()

    def done(self, report: Path) -> None:
        """Stop drawing; print the result and where the report is."""
        self._live.stop()
        _show_result(self._console, report)

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        self._live.update(self._render(), refresh=True)

    def _render(self) -> Group:
        if self._progress is None:
            return Group(Text(f"{self._stage} ...", style="dim"))
        done, total, words = self._progress
        line = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=total, completed=done, width=24)
        line.add_row(Text(self._stage, style="bold"), bar, Text(words))
        now = [*self._facts.get("step", []), *self._facts.get("epoch", [])]
        rows = [now, self._facts.get("event", [])]
        return Group(line, *(Text("  ".join(row)) for row in rows if row))


def make_display(stream: TextIO | None = None) -> Display:
    """Return the display that suits a stream (standard output): live in a terminal, else plain."""
    console = Console(file=stream)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveDisplay(console)
    return PlainDisplay(stream)
