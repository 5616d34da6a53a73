"""The places where a data set may be found."""

import os
from dataclasses import dataclass
from pathlib import Path

from spikeprune.data import cache, hub
from spikeprune.data.custom import is_import_path
from spikeprune.data.formats import idx, nmnist, parquet
from spikeprune.data.sets import NAMES, SETS, DataSet
from spikeprune.errors import ConfigError, DataError, unknown_name

SYSTEM_FOLDER = Path("/usr/share/datasets")


@dataclass(frozen=True)
class Place:
    """A place that was searched.

    Attributes:
        form: `embedded`, `idx`, `parquet`, `recordings`, `folder`, `callable` or `hub`.
        where: A folder, or the name of the package or repository.
        found: Whether the files of the data set are there, judged by their names.
        note: The files that were found, or those that are missing.
    """

    form: str
    where: str
    found: bool
    note: str


@dataclass(frozen=True)
class Location:
    """The places that were searched, in order."""

    places: tuple[Place, ...]

    @property
    def serves(self) -> Place | None:
        """The first place that has the data set; None: only the hub may have it."""
        return next((place for place in self.places if place.found), None)


def locate(name: str, root: str | os.PathLike[str] | None = None) -> Location:
    """Search for a data set without reading it and without the network.

    Args:
        name: As in `load`.
        root: A folder that holds the data set, or a folder with it.

    Returns:
        The places: `root` and the folders in it, the system's data sets, the hub.

    Raises:
        ConfigError: The name is unknown, or `folder` comes without a root.
    """
    if is_import_path(name):
        return Location((Place("callable", name, True, "your own code"),))
    images = image_folder(name, root)
    if images is not None:
        note = "a folder of images" if images.is_dir() else "no such folder"
        return Location((Place("folder", str(images), images.is_dir(), note),))
    if name not in SETS:
        valid = (*NAMES, "a path to a folder of images", "module:callable")
        raise unknown_name("data set", name, valid)
    row = SETS[name]
    if "embedded" in row.forms:
        return Location((Place("embedded", "scikit-learn", True, "ships inside the package"),))
    places = [_probe(folder, row) for folder in _folders(row, root)]
    if row.hub is not None:
        kept = all(cache.exists(hub.key(row, split)) for split in ("train", row.test_split))
        note = "decoded copy in the cache" if kept else "tried last, needs the network"
        places.append(Place("hub", f"Hugging Face hub {row.hub}", kept, note))
    return Location(tuple(places))


def image_folder(name: str, root: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder of images that a name stands for, or None for the name of a set."""
    if name == "folder":
        if root is None:
            raise ConfigError("data 'folder' needs to know which: give its path as data root")
        return Path(root).expanduser()
    if name in SETS:
        return None
    path = Path(name).expanduser()
    separators = [mark for mark in (os.sep, os.altsep) if mark]
    looks_like_path = any(mark in name for mark in separators) or name in (".", "..")
    return path if looks_like_path or path.is_dir() else None


def not_found(row: DataSet, location: Location, hub_answer: str | None = None) -> DataError:
    """Return the error for missing data: places searched, how to get it, and an alternative."""
    lines = [f"{row.label} ({row.name}) was not found. Looked at:"]
    for place in location.places:
        note = hub_answer if place.form == "hub" and hub_answer else place.note
        lines.append(f"  - {place.where}: {note}")
    lines.append(f"To get it: {row.obtain}.")
    lines.append("Then name the folder as data root (--data_root FOLDER).")
    lines.append("To go on without it: --data digits, which needs no files.")
    return DataError("\n".join(lines))


def _folders(row: DataSet, root: str | os.PathLike[str] | None) -> list[Path]:
    folders: list[Path] = []
    if root is not None:
        base = Path(root).expanduser()
        # Only folders that exist, for a short list of places, and always the root.
        named = (base / name for name in row.folders)
        folders += [*(folder for folder in named if folder.is_dir()), base]
    return [*folders, SYSTEM_FOLDER / row.name]


def _probe(folder: Path, row: DataSet) -> Place:
    if not folder.is_dir():
        return Place(row.forms[0], str(folder), False, "no such folder")
    notes: list[str] = []
    for form in row.forms:
        there, lacking = _missing(form, folder, row)
        if not lacking:
            return Place(form, str(folder), True, f"{form}: {', '.join(there)}")
        if there:
            notes.append(f"has {', '.join(there)} but lacks {', '.join(lacking)}")
    note = "; ".join(notes) or f"holds no files of this set ({' or '.join(row.forms)})"
    return Place(row.forms[0], str(folder), False, note)


def _missing(form: str, folder: Path, row: DataSet) -> tuple[list[str], list[str]]:
    if form == "idx":
        return idx.missing(folder)
    if form == "parquet":
        return parquet.missing(folder, row)
    return nmnist.missing(folder)
