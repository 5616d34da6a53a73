"""The checksums of a folder's files, so that a lost or damaged one is noticed before it is used."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypedDict

from spikeprune.errors import RunError
from spikeprune.files import read_json, system_errors, write_json

NAME = "manifest.json"
CONFIG = "config.yaml"  # the options of a run
_SCHEMA = 1


class Checksum(TypedDict):
    """The length of a file and its SHA-256, in hexadecimal digits."""

    bytes: int
    sha256: str


class _Manifest(TypedDict):
    schema: int
    files: dict[str, Checksum]


def checksum(content: bytes) -> Checksum:
    """Return the length of a content and its SHA-256."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def file_checksum(path: Path) -> Checksum:
    """Return the length of a file and its SHA-256; a RunError if it cannot be read."""
    with system_errors("read", path), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return {"bytes": file.tell(), "sha256": digest.hexdigest()}


def write_manifest(folder: Path, names: Iterable[str], coming: Mapping[str, bytes]) -> None:
    """Write the checksums of files in `folder`, and of contents that are written after it.

    `names` and the keys of `coming` are paths relative to the folder.
    """
    files = {name: file_checksum(folder / name) for name in names}
    files |= {name: checksum(content) for name, content in coming.items()}
    write_json(folder / NAME, {"schema": _SCHEMA, "files": files})


def faults(folder: Path, names: Iterable[str] | None = None) -> dict[str, str]:
    """Return by name what is wrong with the files of a manifest, all or some; it may be absent."""
    if not (folder / NAME).exists():
        return {}
    found: _Manifest = read_json(folder / NAME, _Manifest)
    wanted = found["files"].keys() if names is None else found["files"].keys() & set(names)
    wrong = {name: _fault(folder / name, found["files"][name]) for name in sorted(wanted)}
    return {name: fault for name, fault in wrong.items() if fault}


def _fault(path: Path, entry: Checksum) -> str:
    if not path.is_file():
        return "is missing"
    size = path.stat().st_size
    if size != entry["bytes"]:
        return f"has {size:,} bytes, not {entry['bytes']:,}"
    return "" if file_checksum(path) == entry else f"differs from its checksum in {NAME}"


def in_words(wrong: Mapping[str, str]) -> str:
    """Return what `faults` found as text."""
    return ", ".join(f"{name} {fault}" for name, fault in wrong.items())


def require_whole(folder: Path, *names: str) -> None:
    """Refuse a folder whose files, those of the manifest or the named ones, are not as written.

    Raises:
        RunError: a file is missing or differs; the message names it.
    """
    wrong = faults(folder, names or None)
    if CONFIG in wrong:  # without it there is no telling whether a command has the run's options
        raise RunError(f"{folder}: {in_words(wrong)}; put {CONFIG} back, or train in a new folder")
    if wrong:
        raise RunError(
            f"{folder}: {in_words(wrong)}; `spikeprune run` with the run's options makes what is "
            "lost again, or put the file back"
        )
