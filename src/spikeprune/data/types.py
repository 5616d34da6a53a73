"""What the data layer hands out, and the form in which it keeps samples meanwhile."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

Kind = Literal["static", "events"]


class Batches(Protocol):
    """An iterable of batches that can be walked again and again.

    A batch is `(x, y)`: `x` float32, `[B, C, H, W]` for static images and `[T, B, C, H, W]` for
    events; `y` int64 `[B]`.
    """

    @property
    def samples(self) -> int:
        """Number of samples that one pass hands out at most (the last partial batch included)."""
        ...

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]: ...

    def __len__(self) -> int: ...

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffling and augmentation of the next pass."""
        ...


@dataclass(frozen=True)
class DataInfo:
    """What there is to know about a data set once it was found.

    Attributes:
        name: The name it was asked for by.
        label: The name to print beside results; says so where pixels are not the original ones.
        classes: Class names; their count is the number of outputs of a net.
        shape: `(C, H, W)` of one image or of one frame of events.
        mean: Per channel, in units of the pixel range [0, 1]; zero for events.
        std: Per channel, same units; for events the count that is scaled to 1.
        kind: `static` images or `events`.
        source: Where it was found.
        scaling: How stored values became the values of `x`, in words.
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
    """A data set, split and ready to train on.

    Attributes:
        info: Names, shape and constants.
        train: Shuffled and augmented; drops the last partial batch.
        score: The training samples again, clean and in order, for scoring.
        validation: Held out from the training data; empty when its fraction is 0.
        test: The test samples, in order.
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
        encoding: How the files held the pixels, such as `JPEG`; empty where nothing was encoded.
    """

    images: Tensor
    labels: Tensor
    encoding: str = ""


@dataclass(frozen=True)
class Samples:
    """Both halves of a data set as its publisher split it, before any split of ours."""

    info: DataInfo
    train: Part
    test: Part
