"""How a process ends from outside: by Ctrl-C, by `kill`, or with the process that started it.

While the command line imports, a signal ends it at once. While a command runs, the first signal
unwinds it as an exception, so that locks are released and worker processes end; a second one ends
it at once. Either way there is one line, and the exit code is 128 + the number of the signal. This
module imports nothing that takes time.
"""

# Itself, because the module signal around it takes as long to import as Python to start.
import _signal as signal  # type: ignore[import-not-found]
import os
import sys

TYPE_CHECKING = False  # typing takes even longer
if TYPE_CHECKING:
    from typing import NoReturn

_PATIENCE = 10.0  # seconds that a library has to return to Python
NOTHING_LOST = "nothing is lost"
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_SHOW_CURSOR = b"\x1b[?25h"


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM; unwinds as an interrupt from the keyboard."""


def stop_of(error: BaseException) -> KeyboardInterrupt | None:
    """Return the interrupt that an error comes from, if there is one.

    Code that is interrupted while it imports or cleans up may raise something else instead.
    """
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        if isinstance(found, KeyboardInterrupt):
            return found
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return None


def ended_by(stop: KeyboardInterrupt) -> int:
    """Say in one line what ended the command, and return its exit code."""
    # An interrupt inside an `exec` of text (dataclasses make theirs so) ends `python -m` by SIGINT,
    # also after it was caught. The next `exec` of text makes Python forget it.
    exec("")
    number = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
    print(f"spikeprune: {_WORDS[number]}; {str(stop) or NOTHING_LOST}", file=sys.stderr)
    return 128 + int(number)


def end_with(*pipes: int) -> None:
    """Start a thread that ends this process when the other side closes one of these pipes.

    So a process ends with the one that started it, however that one ended.
    """
    from select import poll
    from threading import Thread

    closed = poll()
    for pipe in pipes:
        closed.register(pipe, 0)  # no event but the end

    def watch() -> None:
        closed.poll()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


class Stop:
    """The signals of this process: `listen` at once, and run the command inside, by `with`."""

    def __init__(self) -> None:
        self._unwinds = False
        self._silent = False

    def listen(self) -> None:
        """Handle the signals from now on, except those that this process was told to ignore."""
        numbers = [signal.SIGINT]
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:  # else the launcher wants an end at once
            numbers.append(signal.SIGTERM)
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup, or in a script's &
                signal.signal(number, self._handle)

    def __enter__(self) -> None:
        """Let the first signal raise an exception."""
        self._unwinds = True
        self._end_where_python_waits()

    def __exit__(self, *error: object) -> None:
        """Let every signal end the process without a word: the command has said how it ended."""
        self._unwinds, self._silent = False, True

    def _end_where_python_waits(self) -> None:
        """Start a thread that ends the process if a library does not return to Python in time."""
        from threading import Thread
        from time import sleep

        received, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)

        def watch() -> None:
            while number := os.read(received, 1):
                sleep(_PATIENCE)
                if self._unwinds and number[0] in _WORDS:  # nothing was raised yet
                    self._end(number[0])

        Thread(target=watch, daemon=True).start()

    def _handle(self, number: int, frame: object) -> None:
        if not self._unwinds:
            self._end(number)
        self._unwinds = False
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    def _end(self, number: int) -> "NoReturn":
        try:
            if os.isatty(1):
                os.write(1, _SHOW_CURSOR)  # a progress bar hides it
            if not self._silent:  # not by sys.stderr, which may be at work
                word = _WORDS[number]
                os.write(2, f"spikeprune: {word}; {NOTHING_LOST}\n".encode())
        finally:
            os._exit(128 + number)
