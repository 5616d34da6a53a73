"""Refuse what cannot fit the memory of this machine, before the system ends the process for it."""

import os
from pathlib import Path

from spikeprune.errors import ConfigError

_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container, on Linux


def total_memory() -> int | None:
    """Return the bytes of memory that this process may use at most; None where nobody says."""
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    try:
        return min(found, int(_LIMIT.read_text()))
    except (OSError, ValueError):  # no container, or `max`
        return found


def require_memory(needed: int, what: str, way_out: str) -> None:
    """Refuse `what` if its bytes, a lower bound, are more than this machine has.

    Raises:
        ConfigError: it does not fit.
    """
    there = total_memory()
    if there is not None and needed > there:
        raise ConfigError(
            f"{what} take at least {needed / 1e9:,.1f} GB, and this machine has {there / 1e9:,.1f} "
            f"GB of memory; {way_out}"
        )
