"""The package's errors; each message says what was expected, what came and what to do.

The command line turns a `SpikePruneError` into one message and a non-zero exit code, and an error
of the system, in the words of `of_system`.
"""

import errno
import os
import reprlib
from collections.abc import Iterable

_LONGEST = 120  # characters of a value in a message
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = _LONGEST
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 20


class SpikePruneError(Exception):
    """Base of every error that spikeprune raises on purpose."""


class ConfigError(SpikePruneError, ValueError):
    """An option, or a combination of options, that cannot work."""


class BudgetError(ConfigError):
    """A pruning target that floors, limits or the net itself make impossible."""


class ModelError(SpikePruneError, ValueError):
    """A model that cannot be pruned: no neurons, or weights that do not fit."""


class ObservationError(SpikePruneError, RuntimeError):
    """No recorded membrane potentials, or a wrong number of time steps."""


class DataError(SpikePruneError, ValueError):
    """Data that is missing, truncated, or does not fit the model."""


class RunError(SpikePruneError, RuntimeError):
    """A run that cannot start or continue (foreign output folder, NaN loss)."""


class BusyError(RunError):
    """Another process works on the same files."""


class DeadNetWarning(UserWarning):
    """A sign that a net, or a part of it, no longer works."""


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> ConfigError:
    """Return the error for an unknown name, listing the valid ones."""
    return ConfigError(f"unknown {kind} {shown(name)}; expected one of: {', '.join(sorted(valid))}")


def shown(value: object) -> str:
    """Return a value as Python writes it, cut where it is too long for a message."""
    text = _SHORT.repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def missing_extra(package: str, extra: str, purpose: str) -> ConfigError:
    """Return the error for an optional package that is not installed, naming the extra."""
    return ConfigError(
        f"{purpose} needs the package {package!r}, which is not installed; "
        f"install it with: pip install 'spikeprune[{extra}]'"
    )


def require_one_of(kind: str, value: str, valid: Iterable[str]) -> None:
    """Raise a `ConfigError` that lists the valid names unless `value` is one of them."""
    if value not in valid:
        raise unknown_name(kind, value, valid)


def one_line(error: BaseException) -> str:
    """Return the type and the first line of an error of foreign code."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


_WAYS_OUT = {
    errno.ENOSPC: "free some space there",
    errno.EFBIG: "allow larger files there",
    errno.EDQUOT: "free some of your quota there",
    errno.EACCES: "give a place that you may read and write",
    errno.EPERM: "give a place that you may read and write",
    errno.EROFS: "give a place that can be written",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "wait until other programs close files",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOENT: "put it there, or give another path",
    errno.EISDIR: "give a file instead",
    errno.ENOTDIR: "give a folder instead",
}
_LESS = "use a smaller --batch_size, --time_steps, --image_size or net, or a larger machine"


def of_system(error: BaseException) -> str | None:
    """Return what the system refused and the way out, in one line; None for any other error."""
    if isinstance(error, MemoryError) or _torch_lacks_memory(error):
        first = (str(error).strip().splitlines() or ["no more memory is free"])[0]
        return f"there is not enough memory ({first}); {_LESS}"
    if not isinstance(error, OSError):
        return None
    names = [os.fspath(n) for n in (error.filename, error.filename2) if isinstance(n, str | bytes)]
    what = " and ".join(n.decode(errors="replace") if isinstance(n, bytes) else n for n in names)
    reason = error.strerror or str(error) or type(error).__name__
    return f"{what or 'the system'}: {reason}; {way_out(error.errno)}"


def way_out(number: int | None) -> str:
    """Return what to do about an error of the system, by its number."""
    return f"{_WAYS_OUT.get(number or 0, 'mend this')}, and the same command goes on"


def _torch_lacks_memory(error: BaseException) -> bool:
    """Whether torch could not allocate a tensor; on the CPU it has no error class of its own."""
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError)
        and any(sign in str(error) for sign in ("can't allocate memory", "calculation overflowed"))
    )
