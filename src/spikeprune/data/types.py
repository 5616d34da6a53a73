"""The types of data sets: loaders, their description, and samples in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

Kind = Literal["static", "events"]


class Batches(Protocol):
    """An iterable of batches that can be iterated repeatedly.

    A batch is `(x, y)`: `x` float32, `[B, C, H, W]` for static images and `[T, B, C, H, W]` for
    recordings; `y` int64 `[B]`.
    """

    @property
    def samples(self) -> int:
        """Number of samples, including a last partial batch that is dropped."""
        ...

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]: ...

    def __len__(self) -> int: ...

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffling and augmentation of the next pass."""
        ...


@dataclass(frozen=True)
class DataInfo:
    """The description of a data set."""

    name: str
    label: str  # the name beside results, which says if pixels are not the original ones
    classes: tuple[str, ...]
    shape: tuple[int, int, int]  # `(C, H, W)` of an image, or of a frame of a recording
    mean: tuple[float, ...]  # per channel, pixels in [0, 1]; zero for recordings
    std: tuple[float, ...]  # the same; for recordings the event count that is scaled to 1
    kind: Kind  # `static` images, or `events` for recordings
    source: str
    scaling: str = ""  # how stored values become the values of `x`, in words


@dataclass(frozen=True)
class Data:
    """The loaders of a data set."""

    info: DataInfo
    train: Batches  # shuffled and augmented, without a last partial batch
    score: Batches  # the training samples in order and not augmented, for scoring
    validation: Batches  # held out from the training data; may be empty
    test: Batches


@dataclass(frozen=True)
class Part:
    """Decoded samples in memory."""

    images: Tensor  # uint8, `[N, C, H, W]` pixels or `[N, T, C, H, W]` event counts
    labels: Tensor  # int64 `[N]`
    encoding: str = ""  # encoding of the pixels in files, such as `JPEG`, or empty


@dataclass(frozen=True)
class Samples:
    """The training and test part of a data set, as its publisher split it."""

    info: DataInfo
    train: Part
    test: Part
