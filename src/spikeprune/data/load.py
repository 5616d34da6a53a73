"""Load a data set by name."""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from spikeprune.data import custom, hub
from spikeprune.data.formats import digits, idx, nmnist, parquet
from spikeprune.data.formats import image_folder as folder
from spikeprune.data.formats.images import resize
from spikeprune.data.loader import Loader
from spikeprune.data.options import Options
from spikeprune.data.places import image_folder, locate, not_found
from spikeprune.data.sets import SETS, DataSet
from spikeprune.data.split import split
from spikeprune.data.types import Data, Part, Samples
from spikeprune.errors import DataError
from spikeprune.user_code import is_import_path


def load(
    name: str,
    *,
    root: str | os.PathLike[str] | None = None,
    batch_size: int,
    time_steps: int,
    seed: int,
    validation: float = 0.1,
    augment: Sequence[str] = (),
    image_size: int | None = None,
    limit: int | None = None,
    binning: str = "duration",
) -> Data:
    """Find a data set, read it into memory and split it.

    Args:
        name: One of `NAMES`, the path of a folder of images, or `module:callable` for the
            user's own loaders.
        root: Folder with local copies, which is searched first.
        batch_size: Samples per batch.
        time_steps: Number of frames T of recordings; unused for static images.
        seed: Seed of shuffling and augmentation; the splits are fixed.
        validation: Fraction of the training data that is held out, stratified.
        augment: Names out of `crop`, `flip`, `cutout`, for training only.
        image_size: New height and width of the images in pixels.
        limit: Largest number of training samples, stratified; the held-out set shrinks in
            proportion, the test set stays whole.
        binning: Frames of equal `duration`, or of equal `count` of events.

    Raises:
        ConfigError: An unknown name or an option out of range.
        DataError: The data is missing, truncated or unfit.
    """
    options = Options(batch_size, time_steps, seed, validation, augment, image_size, limit, binning)
    if is_import_path(name):
        return custom.load(name, root, options)
    samples = _read(name, root, options)
    if samples.info.kind == "static" and image_size is not None:
        info = replace(samples.info, shape=(samples.info.shape[0], image_size, image_size))
        train, test = (
            replace(part, images=resize(part.images, image_size))
            for part in (samples.train, samples.test)
        )
        samples = Samples(info, train, test)
    return _loaders(samples, options)


def _read(name: str, root: str | os.PathLike[str] | None, options: Options) -> Samples:
    images = image_folder(name, root)
    if images is not None:
        return folder.read(images, options.image_size)
    location = locate(name, root)
    row, place = SETS[name], location.serves
    if place is None and row.hub is None:
        raise not_found(row, location)
    if place is None or place.form == "hub":
        try:
            parts = hub.download(row)
        except hub.HubUnreachable as error:
            raise not_found(row, location, str(error)) from error
        return _samples(row, parts, f"Hugging Face hub {row.hub}")
    if place.form == "recordings":
        return nmnist.read(Path(place.where), row, options)
    if place.form == "embedded":
        return _samples(row, digits.read(), place.where)
    reader = idx.read if place.form == "idx" else parquet.read
    return _samples(row, reader(Path(place.where), row), place.where)


def _samples(row: DataSet, parts: tuple[Part, Part], source: str) -> Samples:
    train, test = parts
    changed = row.lossless and "JPEG" in (train.encoding, test.encoding)
    label = f"{row.label} (JPEG)" if changed else row.label
    return Samples(row.info(label, source), train, test)


def _loaders(samples: Samples, options: Options) -> Data:
    info, size = samples.info, options.batch_size
    if info.kind == "static":
        info = replace(info, scaling="(pixel / 255 - mean) / std, per channel")
    train, held_out = split(samples.train.labels, options.validation, options.limit)
    if len(train) < size:
        raise DataError(
            f"{info.label}: a batch of {size} does not fit the {len(train)} samples that are left "
            "to train on; choose a smaller batch_size (or a larger limit)"
        )
    batches = partial(Loader, info=info, batch_size=size)
    shuffled = batches(samples.train, train, shuffle=options.seed, augment=options.augment)
    score, validation = batches(samples.train, train), batches(samples.train, held_out)
    test = batches(samples.test, torch.arange(len(samples.test.labels)))
    return Data(info, shuffled, score, validation, test)
