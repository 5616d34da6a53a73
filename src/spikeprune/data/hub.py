"""Hugging Face `datasets`: Parquet files where they lie, and the hub as the last resort."""

import contextlib
import glob
import tempfile
from collections.abc import Iterable, Iterator
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
    """The hub did not answer, or does not have the data set; the text says which."""


def parquet_rows(file: Path, row: DataSet) -> Iterator[Encoded]:
    """Yield the images of one Parquet file in the hub's column layout; never uses the network.

    Raises:
        DataError: The file is damaged or lacks a column.
    """
    import datasets

    with _quiet(offline=True), tempfile.TemporaryDirectory() as scratch:
        try:
            # Streaming: the library would copy the whole set into its own cache otherwise.
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
        except Exception as error:  # arrow, fsspec and datasets each have errors of their own
            raise DataError(f"{file} cannot be read ({error}); fetch it again") from error


def key(row: DataSet, split: str) -> str:
    """Return the cache key of a split that came from the hub."""
    return cache.fingerprint((), "hub", row.hub, split)


def download(row: DataSet) -> tuple[Part, Part]:
    """Return the training and test part, from the cache or from the hub.

    Raises:
        HubUnreachable: Neither the hub nor a copy that the hub's library kept can be had.
        DataError: What came is not what the table says.
    """
    train, test = (
        cache.remember(key(row, split), lambda split=split: _fetch(row, split))  # type: ignore[misc]
        for split in ("train", row.test_split)
    )
    return train, test


def _fetch(row: DataSet, split: str) -> Part:
    import datasets

    where = f"{row.hub} ({split})"
    with _quiet(offline=not _reachable()):
        try:
            table = datasets.load_dataset(row.hub, split=split)
        except Exception as error:  # the libraries have dozens; all mean that it is not to be had
            raise HubUnreachable(f"{type(error).__name__}: {error}") from error
        return decode(_rows(table, row, where), row.shape, len(row.classes))


def _rows(table: Any, row: DataSet, where: str) -> Iterator[Encoded]:
    import datasets

    image, label = row.columns
    columns = sorted(table.features or ())
    if image not in columns or label not in columns:
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
            yield Encoded(_bytes(content, place), _label(value, place), place)
            number += 1


def _bytes(cell: Any, where: str) -> bytes:
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(content, bytes):
        raise DataError(f"{where}: expected the bytes of an image, got {type(content).__name__}")
    return content


def _label(value: Any, where: str) -> int:
    if not isinstance(value, int):
        raise DataError(f"{where}: expected a whole number as label, got {value!r}")
    return value


def _reachable() -> bool:
    """Ask the hub once and briefly: its library alone tries for half a minute."""
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
    """Silence progress bars, log lines and telemetry, and close the network if asked to.

    Every setting is put back, because the libraries may serve other code of the process too.
    """
    import datasets
    from huggingface_hub import constants

    settings: list[tuple[Any, str, bool]] = [
        (datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False),
        (constants, "HF_HUB_DISABLE_TELEMETRY", True),
    ]
    if offline:
        settings += [(datasets.config, "HF_HUB_OFFLINE", True), (constants, "HF_HUB_OFFLINE", True)]
    verbosity = datasets.utils.logging.get_verbosity()
    with _set(settings), _no_bars(_bar_switches()):
        datasets.utils.logging.set_verbosity(datasets.utils.logging.CRITICAL)
        try:
            yield
        finally:
            datasets.utils.logging.set_verbosity(verbosity)


@contextlib.contextmanager
def _set(settings: Iterable[tuple[Any, str, bool]]) -> Iterator[None]:
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in settings]
    try:
        for owner, name, value in settings:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _bar_switches() -> list[Any]:
    """Return the modules whose progress bars can be switched, and are on now."""
    import datasets
    import huggingface_hub
    from huggingface_hub import constants

    asked_for = (datasets.config, "HF_DATASETS_DISABLE_PROGRESS_BARS", datasets.utils)
    fetched = (constants, "HF_HUB_DISABLE_PROGRESS_BARS", huggingface_hub.utils)
    # A user's environment variable outranks us, and both libraries warn when one tries.
    return [
        switch
        for owner, variable, switch in (asked_for, fetched)
        if getattr(owner, variable) is None and not switch.are_progress_bars_disabled()
    ]


@contextlib.contextmanager
def _no_bars(switches: Iterable[Any]) -> Iterator[None]:
    for switch in switches:
        switch.disable_progress_bars()
    try:
        yield
    finally:
        for switch in switches:
            switch.enable_progress_bars()
