"""Let one process at a time write the files of a run."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(path: Path, busy: Callable[[], None]) -> Iterator[None]:
    """Hold an existing file while active; the system releases it however the process ends.

    `busy` is called if another process holds the file: it raises, or returns to wait for the file.
    """
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy()
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield


def is_held(path: Path) -> bool:
    """Whether another process, or another call of `held`, holds a file now."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # the others: no such file, or a file system without locks
        return isinstance(error, BlockingIOError)
    return False
