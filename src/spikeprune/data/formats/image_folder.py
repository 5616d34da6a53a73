"""A folder of images: train/<class>/<image> and test/<class>/<image>."""

from pathlib import Path
from typing import NamedTuple

from spikeprune import limits
from spikeprune.data import cache
from spikeprune.data.formats.images import Encoded, channel_statistics, decode, opened_image
from spikeprune.data.types import DataInfo, Part, Samples
from spikeprune.errors import DataError

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif"})
_GREY = frozenset({"1", "L", "I", "I;16", "I;16B", "I;16L"})


class _Half(NamedTuple):
    """One half: `train` or `test`."""

    classes: tuple[str, ...]
    files: list[tuple[Path, int]]  # with labels


def read(folder: Path, image_size: int | None) -> Samples:
    """Read a folder of images, whose classes are the folders inside `train`.

    Images are RGB unless all are grey. Without `image_size` all must have one size.
    """
    train, test = _list_half(folder / "train"), _list_half(folder / "test")
    if test.classes != train.classes:
        odd = sorted(set(test.classes) ^ set(train.classes))
        raise DataError(
            f"{folder}: train and test must hold the same classes, but only one of them has "
            f"{', '.join(odd)}"
        )
    shape = _common_shape([file for file, _ in train.files + test.files], image_size)
    train_part, test_part = (_read_half(half, shape, image_size) for half in (train, test))
    mean, std = channel_statistics(train_part.images)
    name = folder.resolve().name
    info = DataInfo(name, name, train.classes, shape, mean, std, "static", str(folder))
    return Samples(info, train_part, test_part)


def _list_half(half: Path) -> _Half:
    if not half.is_dir():
        raise DataError(
            f"{half} is missing: expected {half.parent}/train/<class>/<image> and "
            f"{half.parent}/test/<class>/<image>"
        )
    visible = [entry for entry in half.iterdir() if entry.name[0] != "."]
    classes = tuple(sorted(entry.name for entry in visible if entry.is_dir()))
    if len(classes) < 2:
        raise DataError(
            f"{half}: expected a folder for each of at least two classes, got {len(classes)}"
        )
    files: list[tuple[Path, int]] = []
    for label, name in enumerate(classes):
        found = sorted(f for f in (half / name).rglob("*") if f.suffix.lower() in _SUFFIXES)
        if not found:
            raise DataError(
                f"{half / name}: expected at least one image, got none "
                f"(known endings: {', '.join(sorted(_SUFFIXES))})"
            )
        files += [(file, label) for file in found]
    return _Half(classes, files)


def _common_shape(files: list[Path], image_size: int | None) -> tuple[int, int, int]:
    """Return the shape that all images share; reads only their headers."""
    first: tuple[int, int] | None = None
    channels = 1
    for file in files:
        with opened_image(file, str(file)) as image:
            size, mode = image.size, image.mode
        first = first or size
        if size != first and image_size is None:
            raise DataError(
                f"{file}: expected an image of {first[0]}x{first[1]} pixels as {files[0]}, got "
                f"{size[0]}x{size[1]}; name one size for all (image_size)"
            )
        channels = channels if mode in _GREY else 3
    width, height = (image_size, image_size) if image_size else first or (0, 0)
    what = f"{len(files):,} images of {channels}x{height}x{width}"
    limits.require_memory(len(files) * channels * height * width, what, error=DataError)
    return channels, height, width


def _read_half(half: _Half, shape: tuple[int, int, int], image_size: int | None) -> Part:
    rows = (Encoded(file, label, str(file)) for file, label in half.files)
    key = cache.fingerprint((file for file, _ in half.files), "folder", shape, half.classes)
    fit = image_size is not None
    return cache.remember(key, lambda: decode(rows, shape, len(half.classes), fit=fit))
