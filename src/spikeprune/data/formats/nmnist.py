"""N-MNIST: Train/<digit>/<id>.bin and Test/<digit>/<id>.bin, as frames."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from spikeprune.data import cache
from spikeprune.data.formats.events import Events, bin_events, read_events
from spikeprune.data.options import Options
from spikeprune.data.sets import DataSet
from spikeprune.data.types import DataInfo, Part, Samples
from spikeprune.errors import ConfigError, DataError


def missing(folder: Path) -> tuple[list[str], list[str]]:
    """Return which of the two halves are there, and which are not."""
    halves = ("Train", "Test")
    there = [half for half in halves if (folder / half).is_dir()]
    return there, [f"{half}/<digit>/<id>.bin" for half in halves if half not in there]


def read(folder: Path, row: DataSet, options: Options) -> Samples:
    """Read the recordings and bin them into `options.time_steps` frames.

    Frames hold counts, divided by the mean count of an active pixel in a frame (over the whole
    training folder): pixels without events stay 0, typical active ones are at 1.

    Raises:
        ConfigError: `image_size` is larger than the sensor.
        DataError: A class folder is missing or empty, or a recording is damaged.
    """
    size = options.image_size
    if size is not None and size > min(row.shape[1:]):
        raise ConfigError(
            f"image_size {size} is larger than the {row.shape[2]}x{row.shape[1]} pixels of the "
            f"event camera of {row.label}: events cannot be drawn larger; choose at most "
            f"{min(row.shape[1:])}"
        )
    train, test = (_part(folder / half, row, options) for half in ("Train", "Test"))
    unit = typical_count(train)
    info = DataInfo(
        name=row.name,
        label=row.label,
        classes=row.classes,
        shape=(row.shape[0], size or row.shape[1], size or row.shape[2]),
        mean=row.mean,
        std=(unit,) * row.shape[0],
        kind="events",
        source=str(folder),
        scaling=f"event counts / {unit:.4g}, the mean count of an active pixel in a frame",
    )
    return Samples(info, train, test)


def typical_count(part: Part) -> float:
    """Return the mean count over all pixels and frames that have at least one event."""
    active = int(torch.count_nonzero(part.images))
    return int(part.images.sum(dtype=torch.int64)) / active


def _part(half: Path, row: DataSet, options: Options) -> Part:
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(row.classes):
        found = sorted((half / name).glob("*.bin"))
        if not found:
            raise DataError(f"{half / name}: expected recordings <id>.bin, got none")
        files += found
        labels += [label] * len(found)
    facts = ("recordings", options.time_steps, options.binning, options.image_size)
    key = cache.fingerprint(files, *facts)
    return cache.remember(key, lambda: _bin(files, labels, row, options))


def _bin(files: Sequence[Path], labels: list[int], row: DataSet, options: Options) -> Part:
    polarities, height, width = row.shape
    size = options.image_size
    shape = (polarities, size or height, size or width)
    frames = np.empty((len(files), options.time_steps, *shape), dtype=np.uint8)
    for number, file in enumerate(files):
        events = read_events(file, height, width)
        if size is not None:
            events = _shrink(events, size, row.shape)
        frames[number] = bin_events(events, options.time_steps, shape, binning=options.binning)
    return Part(torch.from_numpy(frames), torch.tensor(labels, dtype=torch.int64))


def _shrink(events: Events, size: int, shape: tuple[int, int, int]) -> Events:
    """Move events to a coarser grid: neighbouring pixels fall together and their counts add."""
    x, y = events.x * size // shape[2], events.y * size // shape[1]
    return Events(x, y, events.polarity, events.time)
