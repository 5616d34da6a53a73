"""The idx files of MNIST and Fashion-MNIST, plain or compressed."""

import gzip
import math
import struct
import zlib
from io import BufferedIOBase
from pathlib import Path

import torch
from torch import Tensor

from spikeprune import limits
from spikeprune.data.sets import DataSet
from spikeprune.data.types import Part
from spikeprune.errors import DataError

_PIECE = limits.MIB
_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def missing(folder: Path, _: DataSet) -> tuple[list[str], list[str]]:
    """Return the names of the files that exist, and of those that are missing."""
    names = [*_FILES["train"], *_FILES["test"]]
    there = [name for name in names if _find(folder, name) is not None]
    return there, [f"{name}[.gz]" for name in names if name not in there]


def read(folder: Path, row: DataSet) -> tuple[Part, Part]:
    """Return the training and the test part."""
    return _read_half(folder, "train", row), _read_half(folder, "test", row)


def read_idx(file: Path, dimensions: int) -> Tensor:
    """Read an idx file of unsigned bytes, plain or `.gz`, to a uint8 tensor.

    The format: two zero bytes, 8 for unsigned bytes, the number of dimensions, each dimension
    as a big-endian 32-bit integer, then the values (Yann LeCun's MNIST page).
    """
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            shape = _header(file, stream.read(4 + 4 * dimensions), dimensions)
            expected = math.prod(shape)
            # No more than what is promised and one byte: a small .gz can hold any number of zeros.
            values = _read_up_to(stream, expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read ({error}); fetch it again") from error
    if len(values) != expected:
        more = "more" if len(values) > expected else f"{len(values)}"
        raise DataError(
            f"{file} is truncated or damaged: its header promises {expected} values "
            f"(shape {'x'.join(map(str, shape))}), got {more}; fetch it again"
        )
    return torch.frombuffer(values, dtype=torch.uint8).reshape(shape)


def _header(file: Path, content: bytes, dimensions: int) -> tuple[int, ...]:
    """Return the shape that the first bytes of an idx file promise, if it is not too large."""
    magic = bytes([0, 0, 8, dimensions])
    if content[:4] != magic:
        raise DataError(
            f"{file} is not an idx file of bytes in {dimensions} dimensions: expected it to "
            f"start with {magic.hex()}, got {content[:4].hex() or 'nothing'}; fetch it again"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(
            f"{file} is truncated: expected a header of {header} bytes, got {len(content)} bytes "
            "in all; fetch it again"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:])
    if 0 in shape:
        sizes = "x".join(map(str, shape))
        raise DataError(f"{file} is empty: its shape is {sizes}; fetch it again")
    what = f"the values that {file} promises ({'x'.join(map(str, shape))})"
    limits.require_at_most(math.prod(shape), limits.IDX_BYTES, what, error=DataError)
    return shape


def _read_up_to(stream: BufferedIOBase, count: int) -> bytearray:
    """Read at most `count` bytes, in pieces: nothing is allocated that is not there."""
    values = bytearray()
    while len(values) < count and (piece := stream.read(min(_PIECE, count - len(values)))):
        values += piece
    return values


def _find(folder: Path, name: str) -> Path | None:
    candidates = (folder / name, folder / f"{name}.gz")
    return next((file for file in candidates if file.is_file()), None)


def _read_half(folder: Path, half: str, row: DataSet) -> Part:
    image_file, label_file = (_find(folder, name) for name in _FILES[half])
    if image_file is None or label_file is None:
        raise DataError(f"{folder} lacks {' and '.join(_FILES[half])} (or .gz)")
    images, labels = read_idx(image_file, 3), read_idx(label_file, 1)
    if images.shape[1:] != row.shape[1:]:
        raise DataError(
            f"{image_file} holds images of {'x'.join(map(str, images.shape[1:]))} pixels, "
            f"expected {row.shape[1]}x{row.shape[2]} for {row.label}"
        )
    if len(images) != len(labels) or len(images) == 0:
        raise DataError(
            f"{image_file} holds {len(images)} images but {label_file} {len(labels)} labels; "
            "expected as many, and at least one"
        )
    if int(labels.max()) >= len(row.classes):
        raise DataError(
            f"{label_file} holds the label {int(labels.max())}, expected 0 to "
            f"{len(row.classes) - 1} for {row.label}"
        )
    return Part(images.unsqueeze(1), labels.to(torch.int64))
