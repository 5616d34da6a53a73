"""How much a file may hold or claim, by kind of file, checked before anything is allocated for it.

A small file can claim what no machine holds: sizes of 10^12, aliases that multiply, zipped zeros.
"""

import os
from pathlib import Path

from spikeprune.errors import SpikePruneError

KIB, MIB, GIB = 2**10, 2**20, 2**30

YAML_BYTES = 64 * KIB
"""Recipes, `config.yaml` and `compare.yaml`."""
YAML_VALUES = 100_000
"""Values of a YAML file, those that aliases stand for counted each time."""
JSON_BYTES = 64 * MIB
ROWS_BYTES = 256 * MIB
"""JSON lines, such as `history.jsonl`."""
NESTING = 64
"""Levels of mappings and lists in YAML and JSON."""
IDX_BYTES = GIB
IMAGE_PIXELS = 2**26
IMAGE_BYTES = 64 * MIB
"""Of one encoded image."""
RECORDING_BYTES = 64 * MIB
PARQUET_BYTES = 16 * GIB
"""Uncompressed, of one Parquet file."""
PARQUET_ROWS = 10_000_000
TIME_STEPS = 10_000
IMAGE_SIDE = 16_384
"""Pixels."""
LAYERS = 1_000
"""Entries of a list of layers in the arguments of a net of the zoo."""

_CGROUP = Path("/sys/fs/cgroup/memory.max")


def require_at_most(
    found: int, limit: int, what: str, *, error: type[SpikePruneError], unit: str = ""
) -> None:
    """Raise `error` if `what` has or claims more than `limit`."""
    if found > limit:
        unit = f" {unit}" if unit else ""
        raise error(f"{what}: expected at most {limit:,}{unit}, got {found:,}")


def require_small(file: Path, limit: int, *, error: type[SpikePruneError]) -> None:
    """Raise `error` if a file has more bytes than `limit`; an OSError if it is not there."""
    require_at_most(file.stat().st_size, limit, str(file), error=error, unit="bytes")


def require_memory(needed: int, what: str, *, error: type[SpikePruneError]) -> None:
    """Raise `error` if `what` needs more bytes than the machine has."""
    there = memory_bytes()
    if needed > there:
        raise error(
            f"{what} would take {needed / GIB:,.1f} GiB of memory, and this machine has "
            f"{there / GIB:,.1f} GiB"
        )


def memory_bytes() -> int:
    """Return the memory of this machine, or of the container that the process is in, in bytes."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(whole, int(_CGROUP.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit
        return whole
