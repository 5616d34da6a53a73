"""The message of an error that nobody foresaw: a bug of this package, or of the user's own code."""

import os
import sysconfig
import tempfile
import traceback
from pathlib import Path

from spikeprune.errors import one_line

_PACKAGE = str(Path(__file__).parent)
_INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))


def unexpected(error: BaseException) -> str:
    """Return type and place of an error in one line; write its traceback to a file for a report."""
    frame = _last_frame(error)
    place = f"{os.path.basename(frame.filename)}, line {frame.lineno}" if frame else "no place"
    what, kept = one_line(error), _kept(error)
    shown = f"the traceback is in {kept}" if kept else "--debug shows the traceback"
    if frame and not frame.filename.startswith(_PACKAGE):
        return f"your code failed in {frame.filename}, line {frame.lineno}: {what}; {shown}"
    return f"this is a bug of spikeprune, please report it: {what} ({place}); {shown}"


def _last_frame(error: BaseException) -> traceback.FrameSummary | None:
    """Return the innermost frame that belongs to no installed library."""
    own = (f for f in traceback.extract_tb(error.__traceback__) if not _is_library(f.filename))
    return next(reversed(list(own)), None)


def _is_library(name: str) -> bool:
    return not name.startswith(_PACKAGE) and (name.startswith((*_INSTALLED, "<")))


def _kept(error: BaseException) -> str | None:
    try:
        number, name = tempfile.mkstemp(prefix="spikeprune-", suffix=".txt")
        with os.fdopen(number, "w", encoding="utf-8", errors="replace") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return None
    return name
