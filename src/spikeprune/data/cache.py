"""A disk cache of decoded samples, so that images are decoded once; it can always be deleted."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from spikeprune.data.types import Part
from spikeprune.errors import RunError
from spikeprune.files import replacing

# Part of every key; raise it when the decoding changes.
_FORMAT = 1


def folder() -> Path | None:
    """Return the cache folder, which need not exist; None for a user without a home."""
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "spikeprune"
    try:
        return Path.home() / ".cache" / "spikeprune"
    except RuntimeError:
        return None


def fingerprint(files: Iterable[Path], *facts: object) -> str:
    """Return a key that changes when a file is replaced or one of `facts` changes."""
    digest = hashlib.sha256(repr((_FORMAT, facts)).encode())
    for file in files:
        status = file.stat()
        digest.update(f"{file.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]


def exists(key: str) -> bool:
    """Return whether the cache holds an entry, readable or not."""
    place = _path(key)
    return place is not None and place.is_file()


def remember(key: str, make: Callable[[], Part]) -> Part:
    """Return the entry of `key`; make it, and store it if possible, if it cannot be read."""
    place = _path(key)
    if place is None:
        return make()
    stored = _read(place)
    if stored is None:
        stored = make()
        with contextlib.suppress(RunError):  # a cache that cannot be written is no reason to stop
            _write(place, stored)
    return stored


def _path(key: str) -> Path | None:
    base = folder()
    return None if base is None else base / f"{key}.safetensors"


def _read(place: Path) -> Part | None:
    try:
        with safe_open(str(place), framework="pt") as stored:
            images, labels = stored.get_tensor("images"), stored.get_tensor("labels")
            encoding = stored.metadata()["encoding"]
    except (OSError, SafetensorError, KeyError, TypeError):
        return None
    sound = images.dtype == torch.uint8 and labels.shape == images.shape[:1]
    return Part(images, labels, encoding) if sound else None


def _write(place: Path, part: Part) -> None:
    tensors = {"images": part.images.contiguous(), "labels": part.labels.contiguous()}
    with replacing(place) as draft:
        save_file(tensors, draft, metadata={"encoding": part.encoding})
