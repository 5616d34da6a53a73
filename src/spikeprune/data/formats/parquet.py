"""Local Parquet files in the column layout of the Hugging Face hub."""

import math
import re
from pathlib import Path

import torch

from spikeprune import limits
from spikeprune.data import cache
from spikeprune.data.formats.images import decode
from spikeprune.data.hub import parquet_rows
from spikeprune.data.sets import DataSet
from spikeprune.data.types import Part
from spikeprune.errors import DataError

# The hub's names of files and folders; the first match wins. Other folders are not searched,
# because they may hold another data set with the same columns.
_FILES = ("{}-*.parquet", "{}.parquet", "{}/*.parquet")
_FOLDERS = ("data", "default", "plain_text")
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})")


def missing(folder: Path, row: DataSet) -> tuple[list[str], list[str]]:
    """Return the splits that exist, as file patterns, and those that are missing."""
    patterns = {split: f"{split}-*.parquet" for split in ("train", row.test_split)}
    there = [pattern for split, pattern in patterns.items() if _files(folder, split, row)]
    return there, [pattern for pattern in patterns.values() if pattern not in there]


def read(folder: Path, row: DataSet) -> tuple[Part, Part]:
    """Return the training and the test part; the cache keeps decoded files."""
    return _read_split(folder, "train", row), _read_split(folder, row.test_split, row)


def _read_split(folder: Path, split: str, row: DataSet) -> Part:
    files = _files(folder, split, row)
    _check_shards(files)
    key = cache.fingerprint(files, row.name, row.shape, row.columns, len(row.classes))
    return cache.remember(key, lambda: _decode(files, row))


def _decode(files: list[Path], row: DataSet) -> Part:
    rows = sum(map(_rows_claimed, files))
    what = f"{rows:,} images of {'x'.join(map(str, row.shape))} in {files[0].parent}"
    limits.require_memory(rows * math.prod(row.shape), what, error=DataError)
    parts = [decode(parquet_rows(file, row), row.shape, len(row.classes)) for file in files]
    labels = torch.cat([part.labels for part in parts])
    if len(labels) == 0:
        raise DataError(f"{files[0]}: expected at least one row, got none")
    encoding = "JPEG" if any(part.encoding == "JPEG" for part in parts) else parts[0].encoding
    return Part(torch.cat([part.images for part in parts]), labels, encoding)


def _rows_claimed(file: Path) -> int:
    """Return the number of rows of a file, by its footer, if they and their bytes are not many."""
    import pyarrow
    from pyarrow.parquet import read_metadata

    try:
        footer = read_metadata(file)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{file} cannot be read ({error}); fetch it again") from error
    groups = (footer.row_group(number) for number in range(footer.num_row_groups))
    size = sum(group.total_byte_size for group in groups)
    limits.require_at_most(footer.num_rows, limits.PARQUET_ROWS, f"rows of {file}", error=DataError)
    what = f"{file} when unpacked"
    limits.require_at_most(size, limits.PARQUET_BYTES, what, error=DataError, unit="bytes")
    limits.require_memory(size, what, error=DataError)
    return int(footer.num_rows)


def _files(folder: Path, split: str, row: DataSet) -> list[Path]:
    for name in ("", *_FOLDERS, *row.folders):
        for pattern in _FILES:
            found = sorted((folder / name).glob(pattern.format(split)))
            if found:
                return found
    return []


def _check_shards(files: list[Path]) -> None:
    """Refuse a split some of whose numbered files are missing."""
    numbered = [(file, match) for file in files if (match := _SHARD.search(file.name))]
    if not numbered:
        return
    expected = int(numbered[0][1].group(2))
    got = {int(match.group(1)) for _, match in numbered}
    if len(numbered) != expected or got != set(range(expected)):
        raise DataError(
            f"{numbered[0][0].parent}: expected {expected} Parquet files like "
            f"{numbered[0][0].name}, numbered from 0, got numbers {sorted(got)}; fetch the rest"
        )
