"""A sequence `[T, B, *]` as a matrix `[T, N]` in any memory format, in blocks of columns.

Elementwise neurons are bound by memory. A block of columns passes through all time steps, forward
or backward, while it is in a processor's cache.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

__all__ = ["Frame"]

_SCRATCH = 2**19  # elements of one scratch buffer, 2 MB in float32
_GRAIN = 2**15  # elements below which PyTorch gives an elementwise operation to one thread


class Frame(NamedTuple):
    """Shape and memory format of a sequence.

    Attributes:
        shape: `[T, B, *]`.
        strides: dense strides in the order of memory of the sequence that it was made from.
        axes: time, then the others from the longest stride to the shortest.
    """

    shape: torch.Size
    strides: tuple[int, ...]
    axes: tuple[int, ...]

    @classmethod
    def of(cls, x: Tensor) -> Self:
        """Return the frame of `x`, which may be expanded over time or not dense at all."""
        strides = torch.empty_like(x[0], device="meta").stride()
        order = sorted(range(len(strides)), key=lambda axis: -strides[axis])
        return cls(x.shape, (x[0].numel(), *strides), (0, *(axis + 1 for axis in order)))

    def empty(self, like: Tensor, dtype: torch.dtype) -> Tensor:
        """Return a new `[T, B, *]`; it is no view, since models change spikes in place."""
        return torch.empty_strided(self.shape, self.strides, dtype=dtype, device=like.device)

    def empty_step(self, like: Tensor, dtype: torch.dtype) -> Tensor:
        """Return a new `[B, *]`; it is no view, since models detach states in place."""
        shape, strides = self.shape[1:], self.strides[1:]
        return torch.empty_strided(shape, strides, dtype=dtype, device=like.device)

    def blocks(self, sequence: Tensor) -> tuple[Tensor, ...]:
        """Return `[T, n]` each: views, or of a copy where the memory format is another."""
        flat = sequence.permute(self.axes).reshape(len(sequence), -1)
        return torch.split(flat, self.columns, 1)

    def step_blocks(self, step: Tensor) -> tuple[Tensor, ...]:
        """Return `[n]` each, of one step `[B, *]`."""
        return tuple(block[0] for block in self.blocks(step.unsqueeze(0)))

    @property
    def columns(self) -> int:
        """The n of all blocks but the last, which may be smaller."""
        fitting = max(_SCRATCH // self.shape[0], _GRAIN * torch.get_num_threads())
        return min(fitting, self.strides[0])
