"""A sequence `[T, B, *]` as a matrix `[T, N]` in any memory format, in blocks of columns.

Elementwise neurons are bound by memory. A block of columns passes through all time steps, forward
or backward, while it is in a processor's cache.
"""

import functools
from typing import NamedTuple

import torch
from torch import Tensor

_SCRATCH = 2**19  # elements of one scratch buffer, 2 MB in float32
_GRAIN = 2**15  # PyTorch runs an elementwise operation on fewer elements in one thread


class Frame(NamedTuple):
    """Shape and memory format of a sequence `[T, B, *]`."""

    shape: torch.Size
    strides: tuple[int, ...]  # dense, in the memory order of the sequence
    axes: tuple[int, ...]  # time, then the other axes from the longest stride to the shortest

    @staticmethod
    def of(x: Tensor) -> "Frame":
        """Return the frame of `x`, which need not be dense and may be expanded over time."""
        return _frame(x.shape, x.stride())

    def empty(self, like: Tensor, dtype: torch.dtype) -> Tensor:
        """Return a new `[T, B, *]`, not a view, because models change spikes in place."""
        return torch.empty_strided(self.shape, self.strides, dtype=dtype, device=like.device)

    def empty_step(self, like: Tensor, dtype: torch.dtype) -> Tensor:
        """Return a new `[B, *]`, not a view, because models detach states in place."""
        shape, strides = self.shape[1:], self.strides[1:]
        return torch.empty_strided(shape, strides, dtype=dtype, device=like.device)

    def matrix(self, sequence: Tensor) -> Tensor:
        """Return `[T, N]`: a view, or a copy if the memory format differs from the frame's."""
        return sequence.permute(self.axes).reshape(len(sequence), -1)

    def row(self, step: Tensor) -> Tensor:
        """Return one step `[B, *]` as `[N]`, a view or a copy as in `matrix`."""
        return self.matrix(step.unsqueeze(0))[0]

    def blocks(self, sequence: Tensor) -> tuple[Tensor, ...]:
        """Return the blocks `[T, n]` of `matrix`."""
        return torch.split(self.matrix(sequence), self.columns, 1)

    def step_blocks(self, step: Tensor) -> tuple[Tensor, ...]:
        """Return the blocks `[n]` of `row`."""
        return torch.split(self.row(step), self.columns)

    def sequence(self, matrix: Tensor) -> Tensor:
        """Return `[T, B, *]` on the memory of a contiguous `[T, N]`; it is not a view."""
        return torch.as_strided(matrix, self.shape, self.strides).data

    def step(self, row: Tensor) -> Tensor:
        """Return `[B, *]` on the memory of a contiguous `[N]`; it is not a view."""
        return torch.as_strided(row, self.shape[1:], self.strides[1:]).data

    @property
    def columns(self) -> int:
        """Number n of columns in every block except the last, which may have fewer."""
        fitting = max(_SCRATCH // self.shape[0], _GRAIN * torch.get_num_threads())
        return min(fitting, self.strides[0])


@functools.lru_cache(maxsize=1024)
def _frame(shape: torch.Size, stride: tuple[int, ...]) -> Frame:
    step = torch.empty_strided(shape[1:], stride[1:], device="meta")
    strides = torch.empty_like(step).stride()
    order = sorted(range(len(strides)), key=lambda axis: -strides[axis])
    return Frame(shape, (step.numel(), *strides), (0, *(axis + 1 for axis in order)))
