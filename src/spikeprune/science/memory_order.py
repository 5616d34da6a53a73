"""Tensors in the order of memory, in pieces that stay in a processor's cache."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

_ROWS, _WORDS = 128, 64
_BLOCK = 1 << 18
_PIECE = 1 << 16  # elements; with scratch of float64 it fits a 2 MB cache


def memory_order(tensor: Tensor) -> list[int]:
    """Return the axes from the longest stride to the shortest."""
    return sorted(range(tensor.ndim), key=tensor.stride, reverse=True)


def pieces(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield tensors of one shape as flat views, piece by piece; they may be written to.

    Off the CPU, or where the tensors differ in memory order (slower), there is a single piece.
    """
    order = memory_order(tensors[0])
    ordered = [tensor.permute(order) for tensor in tensors]
    if tensors[0].device.type != "cpu" or not all(t.is_contiguous() for t in ordered):
        yield tensors
    else:
        yield from zip(*(torch.split(t.view(-1), _PIECE) for t in ordered), strict=True)


def sample_blocks(x: Tensor) -> Iterator[slice]:
    """Yield slices of the samples of `[T, B, *]`, as long as fit the cache, at least one sample.

    Along this axis a tensor is cut into few runs of memory in every memory format.
    """
    steps, batch, *rest = x.shape
    size = max(1, _BLOCK // max(1, steps * math.prod(rest)))
    size = size if x.device.type == "cpu" else batch
    yield from (slice(start, start + size) for start in range(0, batch, max(size, 1)))


def live_count(mask: Tensor) -> int:
    """Return how many entries of a bool tensor are set.

    On the CPU eight are added at once, as the bytes of a word: sums of 128 bytes cannot overflow.
    """
    flat = mask.permute(memory_order(mask))
    if not flat.is_contiguous() or mask.storage_offset() % 8 or mask.device.type != "cpu":
        return int(mask.count_nonzero())
    flat = flat.view(-1)
    body = len(flat) - len(flat) % (8 * _ROWS * _WORDS)
    if not body:
        return int(mask.count_nonzero())
    words = flat[:body].view(torch.int64).view(-1, _ROWS, _WORDS)
    sums = words.sum(1).view(torch.uint8).sum(dtype=torch.int64)
    return int(sums) + int(flat[body:].count_nonzero())
