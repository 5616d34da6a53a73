"""N-MNIST, recordings Train/<digit>/<id>.bin and Test/<digit>/<id>.bin, as frames."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from spikeprune import limits
from spikeprune.data import cache
from spikeprune.data.formats.recordings import Recording, bin_recording, read_recording
from spikeprune.data.options import Options
from spikeprune.data.sets import DataSet
from spikeprune.data.types import Part, Samples
from spikeprune.errors import ConfigError, DataError


def missing(folder: Path, _: DataSet) -> tuple[list[str], list[str]]:
    """Return the halves that exist, and the files that are missing."""
    halves = ("Train", "Test")
    there = [half for half in halves if (folder / half).is_dir()]
    return there, [f"{half}/<digit>/<id>.bin" for half in halves if half not in there]


def read(folder: Path, row: DataSet, options: Options) -> Samples:
    """Read the recordings and bin them into `options.time_steps` frames.

    Counts are divided by the mean count of an active pixel in a frame, over the training folder.
    """
    size = options.image_size
    if size is not None and size > min(row.shape[1:]):
        raise ConfigError(
            f"image_size {size} is larger than the {row.shape[2]}x{row.shape[1]} pixels of the "
            f"event camera of {row.label}: events cannot be drawn larger; choose at most "
            f"{min(row.shape[1:])}"
        )
    train, test = (_read_half(folder / half, row, options) for half in ("Train", "Test"))
    unit = typical_count(train)
    channels, height, width = row.shape
    info = replace(
        row.info(row.label, str(folder)),
        shape=(channels, size or height, size or width),
        std=(unit,) * channels,
        scaling=f"event counts / {unit:.4g}, the mean count of an active pixel in a frame",
    )
    return Samples(info, train, test)


def typical_count(part: Part) -> float:
    """Return the mean of the counts that are not 0, over all pixels and frames."""
    active = int(torch.count_nonzero(part.images))
    return int(part.images.sum(dtype=torch.int64)) / active


def _read_half(half: Path, row: DataSet, options: Options) -> Part:
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(row.classes):
        found = sorted((half / name).glob("*.bin"))
        if not found:
            raise DataError(f"{half / name}: expected recordings <id>.bin, got none")
        files += found
        labels += [label] * len(found)
    frames = (options.time_steps, options.binning, options.image_size)
    key = cache.fingerprint(files, "recordings", *frames)
    return cache.remember(key, lambda: _bin(files, labels, row, options))


def _bin(files: Sequence[Path], labels: list[int], row: DataSet, options: Options) -> Part:
    polarities, height, width = row.shape
    size, steps = options.image_size, options.time_steps
    shape = (polarities, size or height, size or width)
    what = f"{len(files):,} recordings of {steps} frames (time_steps) of {shape}"
    limits.require_memory(len(files) * steps * math.prod(shape), what, error=DataError)
    frames = np.empty((len(files), steps, *shape), dtype=np.uint8)
    for number, file in enumerate(files):
        recording = read_recording(file, height, width)
        if size is not None:  # a coarser grid, on which the counts of neighbouring pixels add
            x, y = recording.x * size // width, recording.y * size // height
            recording = Recording(x, y, recording.polarity, recording.time)
        frames[number] = bin_recording(recording, steps, shape, binning=options.binning)
    return Part(torch.from_numpy(frames), torch.tensor(labels, dtype=torch.int64))
