"""Versions that a result depends on, and a hash of the package's own source."""

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

_NOT_COMPUTING = (
    "cli.py", "commands",
    "lab/analysis", "lab/compare", "lab/report", "lab/reproduce", "lab/search",
)  # fmt: skip
"""The rooms of the package that only start runs, or show and compare their results."""


def versions() -> dict[str, str]:
    """Return the versions that a result depends on; `code` changes when the source is edited."""
    names = ("torch", "spikingjelly", "torch-pruning", "spikeprune")
    found = {name: version(name) for name in names}
    return {"python": platform.python_version()} | found | {"code": code_hash()}


@cache
def code_hash() -> str:
    """Return 8 hexadecimal digits of a hash of all source files that compute a run."""
    root, digest = Path(__file__).parents[3], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if not any(name.is_relative_to(room) for room in _NOT_COMPUTING):
            digest.update(name.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]
