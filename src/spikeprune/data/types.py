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
    """The description of a data set.

    Attributes:
        name: The user's name for it.
        label: The name beside results, which says if pixels are not the original ones.
        classes: Class names.
        shape: `(C, H, W)` of an image, or of a frame of a recording.
        mean: Per channel, in units of the pixel range [0, 1]; zero for recordings.
        std: Per channel in these units; for recordings the event count that is scaled to 1.
        kind: `static` images, or `events` for recordings.
        source: Where it was found.
        scaling: How stored values become the values of `x`, in words.
    """

    name: str
    label: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    kind: Kind
    source: str
    scaling: str = ""


@dataclass(frozen=True)
class Data:
    """The loaders of a data set.

    Attributes:
        info: Names, shape and constants.
        train: Shuffled and augmented, without a last partial batch.
        score: The training samples in order and not augmented, for scoring.
        validation: Held out from the training data; may be empty.
        test: The test samples in order.
    """

    info: DataInfo
    train: Batches
    score: Batches
    validation: Batches
    test: Batches


@dataclass(frozen=True)
class Part:
    """Decoded samples in memory.

    Attributes:
        images: uint8, `[N, C, H, W]` pixels or `[N, T, C, H, W]` event counts.
        labels: int64 `[N]`.
        encoding: Encoding of the pixels in files, such as `JPEG`, or empty.
    """

    images: Tensor
    labels: Tensor
    encoding: str = ""


@dataclass(frozen=True)
class Samples:
    """The training and test part of a data set, as its publisher split it."""

    info: DataInfo
    train: Part
    test: Part
