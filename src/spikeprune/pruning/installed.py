"""Extensions of other packages: loaded once, before a criterion or method is looked up by name."""

import warnings
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

GROUP = "spikeprune.extensions"
"""Entry points of this group are modules that register criteria, allocations or methods."""


@cache
def load_extensions() -> None:
    """Import the extensions of all installed packages; a broken one is left out with a warning."""
    for entry in filter(_installed, entry_points(group=GROUP)):
        try:
            entry.load()
        except Exception as error:  # a module may raise anything while it is imported
            warnings.warn(
                f"the spikeprune extension {entry.name!r} ({entry.value}) could not be loaded: "
                f"{type(error).__name__}: {error}",
                stacklevel=2,
            )


def _installed(entry: EntryPoint) -> bool:
    """Whether a package is no part of the current folder, whose files may be a stranger's."""
    return entry.dist is None or Path(str(entry.dist.locate_file(""))).resolve() != Path.cwd()
