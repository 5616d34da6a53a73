"""The progress of a run as the user sees it: live in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TextIO

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


class Display:
    """Shows nothing of a run's progress; classes that inherit from it show what they define."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Stop showing, also after an error."""

    def stage(self, name: str, detail: str = "") -> None:
        """Begin a stage, such as `dense`, `prune`, `finetune`, `cut`, `evaluate`, `report`."""

    def step(self, step: int, steps: int, *, epoch: int, epochs: int, loss: float) -> None:
        """Show a finished optimiser step, `step` of `steps` in `epoch` of `epochs`, from 1."""

    def epoch(self, row: Row) -> None:
        """Show a finished epoch: a row of `history.jsonl` of kind `epoch`."""

    def event(self, row: Row) -> None:
        """Show a pruning event: a row of `history.jsonl` of kind `event`."""

    def message(self, text: str) -> None:
        """Show a message that stays."""

    def done(self, report: Path) -> None:
        """Show that the run is finished and where its report is."""


class Silent(Display):
    """A display that shows nothing: for tests and use from Python."""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


_WORDS = {
    "loss": "loss {:.4f}",
    "validation_accuracy": "validation {:.2%}",
    "density": "density {:.2%}",
    "live": "live {:,}",
    "regrown": "regrown {:,}",
    "dead_and_returned": "dead before {:,}",
    "survival": "survival {:.0%}",
    "lr": "lr {:.3g}",
}


def _count(row: Row, kind: str) -> str:
    return f"{kind} {row.get(kind)}/{row.get(f'{kind}s')}"


def _words(row: Row) -> list[str]:
    """Return the numbers of a history row in words, without absent or null keys."""
    known = [(form, row.get(key)) for key, form in _WORDS.items()]
    return [form.format(value).replace("%", " %") for form, value in known if value is not None]


def _line(row: Row, kind: str) -> str:
    """Return a line for a history row of kind `epoch` or `event`."""
    parts = [f"{row.get('stage', ''):<9}", _count(row, kind), *_words(row)]
    if row.get("seconds") is not None:
        parts.append(_clock(row["seconds"]))
    return "  ".join(parts)


def _show_result(console: Console, report: Path) -> None:
    """Print the net before and after, if the run wrote its metrics, and where the report is."""
    try:
        record = read_record(report.parent)
        rows, signs = cards(record), record.warnings
    except SpikePruneError:  # there may be a report without metrics
        rows, signs = (), ()
    if rows:
        table = Table("", "dense", "pruned", "", box=None, pad_edge=False, header_style="bold")
        for card in rows:
            table.add_row(card.label, card.before, card.after, card.delta)
        console.print(table)
    for sign in signs:
        console.print(Text(f"WARNING: {sign}", style="bold red"), soft_wrap=True)
    console.print(Text(f"report: {report}"), soft_wrap=True)


class _Pace:
    """The remaining time of a stage, from its steps since it began or was resumed."""

    def __init__(self) -> None:
        self._start: tuple[float, int] | None = None

    def left(self, done: int, total: int) -> float | None:
        """Return the seconds left after `done` of `total` steps; None at the first call."""
        now = time.monotonic()
        if self._start is None:
            self._start = (now, done)
        began, first = self._start
        return (now - began) / (done - first) * (total - done) if done > first else None


class PlainDisplay(Display):
    """A timestamped line per stage, epoch and event, for logs and pipes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def message(self, text: str) -> None:
        """Print a line with the time of day."""
        print(f"{time.strftime('%H:%M:%S')}  {text}", file=self._stream, flush=True)

    def stage(self, name: str, detail: str = "") -> None:
        """Print the stage's name."""
        self.message(f"{name:<9}  {detail}".rstrip())

    def epoch(self, row: Row) -> None:
        """Print the epoch and the remaining time of the stage."""
        rest = row.get("epochs", 0) - row.get("epoch", 0)
        left = f"  left {_clock(rest * row['seconds'])}" if rest and row.get("seconds") else ""
        self.message(_line(row, "epoch") + left)

    def event(self, row: Row) -> None:
        """Print the event."""
        self.message(_line(row, "event"))

    def done(self, report: Path) -> None:
        """Print the result and where the report is."""
        _show_result(Console(file=self._stream, width=100, color_system=None), report)


class LiveDisplay(Display):
    """The state of the run, redrawn in place in a terminal; finished epochs scroll above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._pace = _Pace()
        self._stage = ""
        self._progress: tuple[int, int, str] | None = None
        self._numbers: dict[str, list[str]] = {}
        self._drawn = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def stage(self, name: str, detail: str = "") -> None:
        """Begin a stage with an empty progress bar."""
        self._stage = name
        self._pace, self._progress, self._numbers = _Pace(), None, {}
        self.message(f"{name:<9}  {detail}".rstrip(), style="bold")

    def step(self, step: int, steps: int, *, epoch: int, epochs: int, loss: float) -> None:
        """Move the bar, at most four times a second."""
        done, total = (epoch - 1) * steps + step, epochs * steps
        left = self._pace.left(done, total)
        words = f"epoch {epoch}/{epochs}  step {step}/{steps}"
        if left is not None:
            words += f"  time left {_clock(left)}"
        self._progress = (done, total, words)
        self._numbers["step"] = [f"loss {loss:.4f}"]
        if time.monotonic() - self._drawn > _REFRESH:
            self._draw()

    def epoch(self, row: Row) -> None:
        """Print the finished epoch above the live part."""
        accuracy = row.get("validation_accuracy")
        self._numbers["epoch"] = _words({"validation_accuracy": accuracy})
        self.message(_line(row, "epoch"))

    def event(self, row: Row) -> None:
        """Show the event's numbers until the next one."""
        self._numbers["event"] = [_count(row, "event"), *_words(row)]
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
        line, bar = Table.grid(padding=(0, 2)), ProgressBar(total=total, completed=done, width=24)
        line.add_row(Text(self._stage, style="bold"), bar, Text(words))
        now = [*self._numbers.get("step", []), *self._numbers.get("epoch", [])]
        rows = [now, self._numbers.get("event", [])]
        return Group(line, *(Text("  ".join(row)) for row in rows if row))


def make_display(stream: TextIO | None = None) -> Display:
    """Return the display for a stream (standard output): live in a terminal, else plain."""
    console = Console(file=stream)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveDisplay(console)
    return PlainDisplay(stream)
