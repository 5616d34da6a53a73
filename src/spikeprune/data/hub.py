"""Hugging Face `datasets`: local Parquet files, and downloads from the hub."""

import contextlib
import glob
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from spikeprune.data import cache
from spikeprune.data.formats.images import Encoded, decode
from spikeprune.data.sets import DataSet
from spikeprune.data.types import Part
from spikeprune.errors import DataError

_TIMEOUT_SECONDS = 5.0
_BATCH = 1000


class HubUnreachable(Exception):
    """The hub does not answer, or does not have the data set."""


def parquet_rows(file: Path, row: DataSet) -> Iterator[Encoded]:
    """Yield the images of one Parquet file in the hub's column layout; never uses the network."""
    import datasets

    with _quiet(offline=True), tempfile.TemporaryDirectory() as scratch:
        try:
            # Without streaming the library copies the whole set into its own cache.
            table = datasets.load_dataset(
                "parquet",
                data_files=glob.escape(str(file)),
                split="train",
                streaming=True,
                batch_size=_BATCH,
                cache_dir=scratch,
            )
            yield from _rows(table, row, str(file))
        except DataError:
            raise
        except Exception as error:  # arrow, fsspec and datasets have their own errors
            raise DataError(f"{file} cannot be read ({error}); fetch it again") from error


def key(row: DataSet, split: str) -> str:
    """Return the cache key of a downloaded split."""
    return cache.fingerprint((), "hub", row.hub, split)


def download(row: DataSet) -> tuple[Part, Part]:
    """Return the training and test part, from our cache, the library's, or the hub.

    Raises:
        HubUnreachable: The hub is unreachable, and neither cache has the data set.
        DataError: The data differ from the table of data sets.
    """
    splits = ("train", row.test_split)
    train, test = (cache.remember(key(row, name), partial(_fetch, row, name)) for name in splits)
    return train, test


def _fetch(row: DataSet, split: str) -> Part:
    import datasets

    where = f"{row.hub} ({split})"
    if Path(str(row.hub)).exists():
        raise HubUnreachable(f"{Path.cwd()} has a folder {row.hub}, which would be taken for it")
    with _quiet(offline=not _reachable()):
        try:
            table = datasets.load_dataset(row.hub, split=split)
        except Exception as error:  # the libraries have dozens of errors
            raise HubUnreachable(f"{type(error).__name__}: {error}") from error
        return decode(_rows(table, row, where), row.shape, len(row.classes))


def _rows(table: Any, row: DataSet, where: str) -> Iterator[Encoded]:
    import datasets

    image, label = row.columns
    columns = sorted(table.features or ())
    if not {image, label} <= set(columns):
        raise DataError(
            f"{where}: expected the columns {image} and {label} for {row.label}, "
            f"got {', '.join(columns) or 'none'}"
        )
    names = getattr(table.features[label], "names", None)
    if names is not None and len(names) != len(row.classes):
        raise DataError(
            f"{where}: expected {len(row.classes)} classes in column {label} for {row.label}, "
            f"got {len(names)}; is it another data set?"
        )
    if isinstance(table.features[image], datasets.Image):
        table = table.cast_column(image, datasets.Image(decode=False))
    number = 0
    for batch in table.iter(_BATCH):
        for content, value in zip(batch[image], batch[label], strict=True):
            place = f"{where}, row {number}"
            encoded = content.get("bytes") if isinstance(content, dict) else content
            if not isinstance(encoded, bytes):
                found = type(encoded).__name__
                raise DataError(f"{place}: expected the bytes of an image, got {found}")
            if not isinstance(value, int):
                raise DataError(f"{place}: expected a whole number as label, got {value!r}")
            yield Encoded(encoded, value, place)
            number += 1


def _reachable() -> bool:
    """Ask the hub once, briefly; its library would try for half a minute."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=_TIMEOUT_SECONDS)
    except Exception:  # which error depends on the HTTP library in use
        return False
    return True


@contextlib.contextmanager
def _quiet(*, offline: bool) -> Iterator[None]:
    """Silence progress bars, log lines and telemetry for a while; `offline` closes the network."""
    import datasets
    import huggingface_hub
    from huggingface_hub import constants

    settings = [
        (datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False),
        (constants, "HF_HUB_DISABLE_TELEMETRY", True),
    ]
    if offline:
        settings += [(datasets.config, "HF_HUB_OFFLINE", True), (constants, "HF_HUB_OFFLINE", True)]
    bars = [
        (datasets.config.HF_DATASETS_DISABLE_PROGRESS_BARS, datasets.utils),
        (constants.HF_HUB_DISABLE_PROGRESS_BARS, huggingface_hub.utils),
    ]
    logs = datasets.utils.logging
    with contextlib.ExitStack() as undo:
        for owner, name, value in settings:
            undo.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        for users_choice, bar in bars:  # both libraries warn if code overrides the user's variable
            if users_choice is None and not bar.are_progress_bars_disabled():
                bar.disable_progress_bars()
                undo.callback(bar.enable_progress_bars)
        undo.callback(logs.set_verbosity, logs.get_verbosity())
        logs.set_verbosity(logs.CRITICAL)
        yield
