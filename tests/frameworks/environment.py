"""The framework whose tests run in this process: `make frameworks` names it, a version each."""

import importlib
import importlib.metadata
import os
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).with_name("requirements")
NAMES = tuple(sorted(path.stem for path in REQUIREMENTS.glob("*.txt")))
"""Frameworks with an environment of their own, as `name-version`."""
INSTALLED = "spikingjelly-2"
"""The one that the package itself needs, which every process sees but those of older versions."""


SKIPPED = pytest.mark.skip(reason="needs an environment of its own: make frameworks")


def frameworks():
    """Yield each framework of this process with no mark, and those that are skipped with theirs."""
    if running := os.environ.get("FRAMEWORK"):
        assert running in NAMES, f"expected one of {NAMES}, got {running}"
        yield running, ()
        return
    yield from ((name, (SKIPPED,)) for name in NAMES)
    yield INSTALLED, ()


def require(framework):
    """Import a framework; refuse another version, or one from outside of its environment."""
    name, _, version = framework.partition("-")
    found = importlib.metadata.version(name)
    assert found.startswith(version), f"expected {framework}, got {found}"
    return importlib.import_module(name)
