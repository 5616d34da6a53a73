"""The places where a data set may be found."""

import os
from dataclasses import dataclass
from pathlib import Path

from spikeprune.data import cache, hub
from spikeprune.data.formats import idx, nmnist, parquet
from spikeprune.data.sets import NAMES, SETS, DataSet
from spikeprune.errors import ConfigError, DataError, unknown_name
from spikeprune.user_code import is_import_path

SYSTEM_FOLDER = Path("/usr/share/datasets")
_MISSING = {"idx": idx.missing, "parquet": parquet.missing, "recordings": nmnist.missing}


@dataclass(frozen=True)
class Place:
    """A place that was searched."""

    form: str  # `embedded`, `idx`, `parquet`, `recordings`, `folder`, `callable` or `hub`
    where: str  # a folder, or the name of the package or repository
    found: bool  # judged by the names of the files
    note: str  # files that were found, or are missing


@dataclass(frozen=True)
class Location:
    """The places that were searched, in order."""

    places: tuple[Place, ...]

    @property
    def serves(self) -> Place | None:
        """The first place that has the data set; None: only the hub may have it."""
        return next((place for place in self.places if place.found), None)


def locate(name: str, root: str | os.PathLike[str] | None = None) -> Location:
    """Search `root`, the folders in it, the system's data sets and our cache of the hub.

    Nothing is read, and the network is not used. `name` and `root` are those of `load`.
    """
    if is_import_path(name):
        return Location((Place("callable", name, True, "your own code"),))
    images = image_folder(name, root)
    if images is not None:
        note = "a folder of images" if images.is_dir() else "no such folder"
        return Location((Place("folder", str(images), images.is_dir(), note),))
    if name not in SETS:
        others = ("a path to a folder of images", "module:callable")
        raise unknown_name("data set", name, NAMES + others)
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
    lines += [
        f"To get it: {row.obtain}.",
        "Then name the folder as data root (--data_root FOLDER).",
        "To go on without it: --data digits, which needs no files.",
    ]
    return DataError("\n".join(lines))


def _folders(row: DataSet, root: str | os.PathLike[str] | None) -> list[Path]:
    if root is None:
        return [SYSTEM_FOLDER / row.name]
    base = Path(root).expanduser()
    # Only folders that exist, for a short list of places, and always the root.
    named = [base / name for name in row.folders if (base / name).is_dir()]
    return [*named, base, SYSTEM_FOLDER / row.name]


def _probe(folder: Path, row: DataSet) -> Place:
    if not folder.is_dir():
        return Place(row.forms[0], str(folder), False, "no such folder")
    notes: list[str] = []
    for form in row.forms:
        there, lacking = _MISSING[form](folder, row)
        if not lacking:
            return Place(form, str(folder), True, f"{form}: {', '.join(there)}")
        if there:
            notes.append(f"has {', '.join(there)} but lacks {', '.join(lacking)}")
    note = "; ".join(notes) or f"holds no files of this set ({' or '.join(row.forms)})"
    return Place(row.forms[0], str(folder), False, note)
