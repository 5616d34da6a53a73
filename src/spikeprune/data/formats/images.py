"""Decode images to uint8 tensors."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from spikeprune import limits
from spikeprune.data.types import Part
from spikeprune.errors import ConfigError, DataError

# Pillow raises these for bytes that are no image, or a part of one.
BROKEN_IMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)

# Those of the suffixes of `image_folder`. Pillow knows others, such as PostScript: programs.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF")
_CHUNK = 4096


class Encoded(NamedTuple):
    """An encoded image."""

    content: bytes | Path  # a path is read
    label: int
    where: str  # for error messages


def decode(
    rows: Iterable[Encoded], shape: tuple[int, int, int], classes: int, *, fit: bool = False
) -> Part:
    """Decode images to `shape` `(C, H, W)`, grey for 1 channel and RGB for 3.

    `fit` resizes images of other sizes (bilinear) instead of refusing them. The part's encoding is
    `JPEG` if any image is one.
    """
    blocks: list[Tensor] = []
    block: list[np.ndarray] = []
    labels: list[int] = []
    encodings: set[str] = set()
    for row in rows:
        if not 0 <= row.label < classes:
            raise DataError(f"{row.where}: label {row.label}, expected 0 to {classes - 1}")
        pixels, encoding = _decode_one(row, shape, fit)
        block.append(pixels)
        labels.append(row.label)
        encodings.add(encoding)
        if len(block) == _CHUNK:
            blocks.append(_stack(block, shape))
            block = []
    blocks.append(_stack(block, shape))
    encoding = "JPEG" if "JPEG" in encodings else "".join(sorted(encodings)[:1])
    return Part(torch.cat(blocks), torch.tensor(labels, dtype=torch.int64), encoding)


def resize(images: Tensor, size: int) -> Tensor:
    """Resize uint8 images `[N, C, H, W]` to `size` x `size` pixels, bilinear with antialiasing."""
    if images.shape[-2:] == (size, size):
        return images
    count, channels = images.shape[:2]
    what = f"{count:,} images of {size}x{size} pixels (image_size)"
    limits.require_memory(count * channels * size * size, what, error=ConfigError)
    out = torch.empty((count, channels, size, size), dtype=torch.uint8)
    for start in range(0, len(images), _CHUNK):
        piece = images[start : start + _CHUNK].to(torch.float32)
        scaled = F.interpolate(piece, (size, size), mode="bilinear", antialias=True)
        out[start : start + _CHUNK] = scaled.round_().clamp_(0, 255).to(torch.uint8)
    return out


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel of uint8 images `[N, C, H, W]`, N > 0.

    Pixels count as [0, 1]. The deviation of a constant channel is 1.
    """
    total = torch.zeros(images.shape[1], dtype=torch.float64)
    squares = total.clone()
    for start in range(0, len(images), _CHUNK):
        values = images[start : start + _CHUNK].to(torch.float64) / 255
        total += values.sum((0, 2, 3))
        squares += values.square().sum((0, 2, 3))
    count = images[:, 0].numel()
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(0).sqrt()
    std = torch.where(std < 1e-6, torch.ones_like(std), std)
    return tuple(mean.tolist()), tuple(std.tolist())


@contextmanager
def opened_image(content: bytes | Path, where: str) -> Iterator[Any]:
    """Open an image, of which only the header is read so far; `where` is for error messages.

    Raises:
        DataError: no image, or one whose header claims too many pixels.
    """
    from PIL import Image

    try:
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        limits.require_at_most(size, limits.IMAGE_BYTES, where, error=DataError, unit="bytes")
        with warnings.catch_warnings():
            # Of many pixels, on which there is a limit of our own.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            source = io.BytesIO(content) if isinstance(content, bytes) else content
            image = Image.open(source, formats=_FORMATS)
        with image:
            what = f"the pixels of {where} ({image.width}x{image.height})"
            pixels = image.width * image.height
            limits.require_at_most(pixels, limits.IMAGE_PIXELS, what, error=DataError)
            yield image
    except DataError:
        raise
    except (*BROKEN_IMAGE, Image.DecompressionBombError) as error:
        raise DataError(f"{where}: not a whole image ({error}); fetch it again") from error


def _decode_one(row: Encoded, shape: tuple[int, int, int], fit: bool) -> tuple[np.ndarray, str]:
    from PIL import Image

    channels, height, width = shape
    with opened_image(row.content, row.where) as image:
        encoding = image.format or ""
        converted = _eight_bits(image).convert("L" if channels == 1 else "RGB")
    if converted.size != (width, height):
        if not fit:
            raise DataError(
                f"{row.where}: expected an image of {width}x{height} pixels (width x height), "
                f"got {converted.size[0]}x{converted.size[1]}"
            )
        converted = converted.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(converted), encoding


def _eight_bits(image: Any) -> Any:
    """Return an image of 16 bits in 8; Pillow would clip its values at 255 instead."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.uint32)
    return Image.fromarray((values >> 8).clip(0, 255).astype(np.uint8))


def _stack(block: list[np.ndarray], shape: tuple[int, int, int]) -> Tensor:
    channels, height, width = shape
    if not block:
        return torch.empty((0, *shape), dtype=torch.uint8)
    pixels = torch.from_numpy(np.stack(block)).reshape(len(block), height, width, channels)
    return pixels.permute(0, 3, 1, 2).contiguous()
