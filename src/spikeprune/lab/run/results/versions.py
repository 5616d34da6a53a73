"""Versions that a result depends on, and a hash of the package's own source."""

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

_NOT_RUN = ("cli.py", "commands")


def versions() -> dict[str, str]:
    """Return the versions that a result depends on; `code` tells edited source apart."""
    names = ("torch", "spikingjelly", "torch-pruning", "spikeprune")
    found = {"python": platform.python_version(), **{name: version(name) for name in names}}
    return found | {"code": code_hash()}


@cache
def code_hash() -> str:
    """Return 8 hexadecimal digits of the package's source, of all that a run is computed by.

    The command line and what only compares finished runs are left out.
    """
    root, digest = Path(__file__).parents[3], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if name.parts[0] not in _NOT_RUN and name.parts[:2] != ("lab", "compare"):
            digest.update(name.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]
