"""Tables of one layer's live weights for `event_kernels`; one axis becomes two of height 1."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

PARTS = 8
"""Parts of the output channels in a scatter table, and so the most threads that share a layer."""

_VECTOR = 16  # `lanes` computes whole vectors

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """The reach of a layer's weights, for inputs `[N, C, H, W]`; pairs are (y, x)."""

    rows: int  # N, slices that are computed together
    channels: int
    out_channels: int
    size: Pair = (1, 1)  # (H, W) of the input; the defaults are those of a linear layer
    out_size: Pair = (1, 1)
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Pair = (0, 0)  # zeros before the first row and column

    @property
    def margin(self) -> Pair:
        """Rows and columns of outputs before the input's own that a weight can reach."""
        return self._each(lambda a: (self.kernel[a] - 1) * self.dilation[a] // self.stride[a])

    @property
    def _strided(self) -> Pair:
        return self._each(lambda a: (self.size[a] - 1 + self.padding[a]) // self.stride[a] + 1)

    @property
    def unfolded(self) -> Pair:
        """Rows and columns of an unfolded plane."""
        need = self._each(lambda a: self.out_size[a] + self.margin[a])
        # The zeros before a row are also those behind the previous row.
        shared = self.padding[1] // self.stride[1]
        return max(self._strided[0], need[0]), max(self._strided[1], need[1] - shared)

    @property
    def summed(self) -> Pair:
        """Rows and columns of the accumulator of `scatter`."""
        return self._each(lambda a: max(self._strided[a], self.out_size[a]) + self.margin[a])

    def _each(self, of_axis: Callable[[int], int]) -> Pair:
        return of_axis(0), of_axis(1)

    @property
    def where(self) -> tuple[int, ...]:
        """The argument `where` of `unfold` and `collect`."""
        return (*self.padding, *self.stride, *self.unfolded)

    @property
    def phases(self) -> int:
        """Planes per channel: inputs a stride apart form a plane of their own."""
        return self.stride[0] * self.stride[1]

    @property
    def plane(self) -> int:
        """Elements of one plane of all rows."""
        return self.unfolded[0] * self.rows * self.unfolded[1]

    @property
    def padded_length(self) -> int:
        """Elements of the unfolded input and of the margin that the last row reads behind it."""
        beyond = self.out_size[1] + self.margin[1] + _VECTOR
        return self.channels * self.phases * self.plane + beyond


def obstacle(module: nn.Module) -> str | None:
    """Return why a layer cannot be event-driven, or None."""
    if isinstance(module, nn.Linear):
        return None
    if not isinstance(module, _ConvNd) or module.transposed:
        return f"{type(module).__name__} is no linear layer or convolution"
    if len(module.kernel_size) > 2:
        return "convolutions over three axes have no event-driven form"
    if module.padding_mode != "zeros":
        return f"its padding is {module.padding_mode!r}, not zeros"
    return None


def geometry_of(module: Any, rows: int, size: tuple[int, ...]) -> Geometry:
    """Return the geometry of a linear layer or convolution for inputs of spatial `size`."""
    if isinstance(module, nn.Linear):
        return Geometry(rows, module.in_features, module.out_features)
    span = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    if module.padding == "same":
        before, total = [s // 2 for s in span], span
    else:
        before = [0] * len(span) if module.padding == "valid" else list(module.padding)
        total = [2 * p for p in before]
    out = [
        (n + p - s - 1) // step + 1
        for n, p, s, step in zip(size, total, span, module.stride, strict=True)
    ]
    return Geometry(
        rows=rows,
        channels=module.in_channels,
        out_channels=module.out_channels,
        size=_two_axes(size, 1),
        out_size=_two_axes(out, 1),
        kernel=_two_axes(module.kernel_size, 1),
        stride=_two_axes(module.stride, 1),
        dilation=_two_axes(module.dilation, 1),
        padding=_two_axes(before, 0),
    )


def _two_axes(values: Any, filling: int) -> Pair:
    """Return (y, x) of sizes along one or two axes."""
    return cast(Pair, ((filling,) * (2 - len(values)) + tuple(values))[-2:])


class _Live(NamedTuple):
    """The live weights."""

    outputs: Any  # channels
    planes: Any  # of the unfolded input: channel and phase
    back: Any  # how far each reaches back, (y, x)
    values: Any


def _live(weight: Tensor, groups: int, g: Geometry) -> _Live:
    dense = weight.detach().reshape(g.out_channels, -1, *g.kernel).numpy()
    outputs, inputs, ky, kx = np.nonzero(dense)
    y, x = ky * g.dilation[0], kx * g.dilation[1]
    channels = inputs + outputs // (g.out_channels // groups) * dense.shape[1]
    planes = channels * g.phases + y % g.stride[0] * g.stride[1] + x % g.stride[1]
    back = (y // g.stride[0], x // g.stride[1])
    return _Live(outputs, planes, back, dense[outputs, inputs, ky, kx])


def lane_table(weight: Tensor, groups: int, g: Geometry) -> tuple[Any, ...]:
    """Return (starts per output channel, offset into the unfolded input, value) of live weights."""
    live = _live(weight, groups, g)
    down = live.back[0] * g.rows * g.unfolded[1] + live.back[1]
    offsets = live.planes * g.plane + down
    return _starts(live.outputs, g.out_channels), offsets.astype(np.uint64), live.values


def scatter_table(weight: Tensor, groups: int, g: Geometry) -> tuple[Any, ...]:
    """Return (starts `[rows, parts + 1]`, offset into the sums, value, first channel of a part).

    A row is an input channel and phase; its weights are in the order of the output channel.
    """
    live = _live(weight, groups, g)
    channels = np.arange(PARTS + 1) * g.out_channels // PARTS
    part = np.searchsorted(channels, live.outputs, side="right") - 1
    plane = g.summed[0] * g.summed[1]
    place = (g.margin[0] - live.back[0]) * g.summed[1] + g.margin[1] - live.back[1]
    offsets = live.outputs * plane + place
    order = np.lexsort((offsets, live.planes))
    rows = g.channels * g.phases
    flat = _starts((live.planes * PARTS + part)[order], rows * PARTS)
    starts = np.empty((rows, PARTS + 1), np.int64)
    starts[:, :PARTS] = flat[:-1].reshape(rows, PARTS)
    starts[:, PARTS] = flat[PARTS::PARTS]
    return starts, offsets[order].astype(np.uint32), live.values[order], channels


def _starts(keys: Any, count: int) -> Any:
    return np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=count))]).astype(np.int64)
