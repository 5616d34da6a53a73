"""Digests of samples: tensors, arrays, images and plain values."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCKS = 1024
"""The most digests by which a change is counted."""


@dataclass(frozen=True)
class Digest:
    """A digest of what was compared of some samples."""

    digest: str  # SHA-256 of the digests of all blocks, 32 hexadecimal digits
    compared: int  # number of samples, or batches, that were read
    of: int  # number of those that there are
    blocks: str  # 8 hexadecimal digits for each of at most `BLOCKS` blocks of neighbours


def combined(digests: Iterable[str], compared: int, *, of: int) -> Digest:
    """Return one digest from those of all blocks; `compared` and `of` as in `Digest`."""
    blocks = list(digests)
    whole = hashlib.sha256("".join(blocks).encode()).hexdigest()[:32]
    return Digest(whole, compared, of, "".join(block[:8] for block in blocks))


def spaced(count: int, most: int) -> Tensor:
    """Return at most `most` evenly spaced positions out of `count`, int64."""
    if count <= most:
        return torch.arange(count)
    return torch.arange(most) * (count - 1) // max(1, most - 1)


def digest_of(value: Any) -> str:
    """Return a SHA-256 of tensors, arrays, images and plain values; empty for anything else."""
    state = hashlib.sha256()
    return state.hexdigest() if _add(state, value) else ""


def _add(state: Any, value: Any) -> bool:
    """Add a value to a hash; return whether it is of a kind that can be."""
    if isinstance(value, Tensor):
        state.update(f"{value.dtype} {tuple(value.shape)}".encode())
        flat = value.detach().cpu().reshape(-1).contiguous()
        state.update(flat.view(torch.uint8).numpy().data if len(flat) else b"")
    elif isinstance(value, np.ndarray) and value.dtype == object:
        return _add(state, value.tolist())
    elif isinstance(value, np.ndarray):
        state.update(f"{value.dtype} {value.shape}".encode() + value.tobytes())
    elif isinstance(value, list | tuple):
        state.update(f"{len(value)}".encode())
        return all(_add(state, one) for one in value)
    elif isinstance(value, Mapping):
        return _add(state, list(value.items()))
    elif isinstance(value, int | float | complex | str | bytes | np.generic | None):
        state.update(f"{type(value).__name__} {value!r}".encode())
    elif hasattr(value, "tobytes") and hasattr(value, "size"):  # an image of Pillow
        state.update(f"{value.size}".encode() + value.tobytes())
    else:
        return False
    return True
