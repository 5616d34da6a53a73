"""Let one process at a time write the files of a run."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from spikeprune.errors import RunError
from spikeprune.files import system_errors


@dataclass(frozen=True)
class Claim:
    """A file that this process holds."""

    path: Path
    file: IO[str]

    def require(self) -> None:
        """Refuse to go on if the file was removed or replaced, with its folder, meanwhile."""
        held = os.fstat(self.file.fileno())
        if not self.path.exists() or not os.path.samestat(held, self.path.stat()):
            raise RunError(
                f"{self.path.parent} was removed or replaced while the run was at work; nothing "
                "more is written there. The same command starts the run again"
            )


@contextmanager
def held(path: Path, busy: Callable[[], None]) -> Iterator[Claim]:
    """Hold an existing file while active; the system releases it however the process ends.

    `busy` is called if another process holds the file: it raises, or returns to wait for the file.
    """
    with ExitStack() as stack:
        with system_errors("read", path):
            file = stack.enter_context(path.open())
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy()
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield Claim(path, file)


def is_held(path: Path) -> bool:
    """Whether another process, or another call of `held`, holds a file now."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # the others: no such file, or a file system without locks
        return isinstance(error, BlockingIOError)
    return False
