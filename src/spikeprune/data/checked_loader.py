"""The user's own loaders, with a check of every batch."""

from collections.abc import Iterable, Iterator
from typing import Any, Self, final

import torch
from torch import Tensor

from spikeprune.data.types import Kind
from spikeprune.errors import DataError


@final
class CheckedLoader:
    """A user's iterable of `(x, y)` batches, such as a DataLoader, that checks every batch.

    `where` is its name in messages, `shape` is `(C, H, W)`, and the kind None allows both kinds.
    """

    def __init__(
        self,
        batches: Any,
        where: str,
        *,
        shape: tuple[int, int, int],
        classes: int,
        time_steps: int,
        kind: Kind | None,
    ) -> None:
        if not isinstance(batches, Iterable) or isinstance(batches, Iterator):
            raise DataError(
                f"{where}: expected something that can be iterated again and again, such as a "
                f"torch DataLoader or a list of batches, got {type(batches).__name__}"
            )
        self._batches: Iterable[Any] = batches
        self._where, self._shape, self._classes = where, shape, classes
        self._time_steps, self._kind = time_steps, kind
        self._counted: tuple[int, int] | None = None

    @classmethod
    def empty(cls) -> Self:
        """Return a loader without batches."""
        return cls((), "nothing", shape=(1, 1, 1), classes=1, time_steps=1, kind="static")

    def first_kind(self) -> Kind:
        """Return the kind of data of the first batch."""
        for batch in self:
            return "static" if batch[0].dim() == 4 else "events"
        raise DataError(f"{self._where}: expected at least one batch, got none")

    @property
    def samples(self) -> int:
        """Number of samples: the length of a DataLoader's data set, else counted in one pass."""
        length = _length(getattr(self._batches, "dataset", None))
        return self._count()[1] if length is None else length

    def __len__(self) -> int:
        length = _length(self._batches)
        return self._count()[0] if length is None else length

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch on to the loader and its sampler if they have `set_epoch`."""
        for target in (self._batches, getattr(self._batches, "sampler", None)):
            tell = getattr(target, "set_epoch", None)
            if tell is not None:
                tell(epoch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for number, batch in enumerate(self._batches):
            yield self._checked(batch, f"{self._where}, batch {number}")

    def _count(self) -> tuple[int, int]:
        if self._counted is None:
            sizes = [len(y) for _, y in self]
            self._counted = len(sizes), sum(sizes)
        return self._counted

    def _checked(self, batch: Any, where: str) -> tuple[Tensor, Tensor]:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise DataError(f"{where}: expected a pair (x, y), got {type(batch).__name__}")
        x, y = batch
        self._check_x(x, where)
        samples = x.shape[-4]
        if not isinstance(y, Tensor) or y.dtype != torch.int64 or y.shape != (samples,):
            raise DataError(
                f"{where}: expected labels as int64 [{samples}], one a sample, got {_describe(y)}"
            )
        low, high = (int(y.min()), int(y.max())) if samples else (0, 0)
        if not 0 <= low <= high < self._classes:
            expected = f"labels 0 to {self._classes - 1}"
            raise DataError(f"{where}: expected {expected}, got {low} to {high}")
        return x.to(torch.float32), y

    def _check_x(self, x: Any, where: str) -> None:
        static: tuple[Any, ...] = ("B", *self._shape)
        forms = {"static": static, "events": (self._time_steps, *static)}
        wanted = [form for kind, form in forms.items() if self._kind in (None, kind)]
        floating = isinstance(x, Tensor) and x.is_floating_point()
        if floating and any(_fits(tuple(x.shape), form) for form in wanted):
            return
        names = " or ".join(f"[{', '.join(map(str, form))}]" for form in wanted)
        raise DataError(
            f"{where}: expected normalised floating point {names}, T = {self._time_steps} time "
            f"steps first for events, got {_describe(x)}"
        )


def _length(value: Any) -> int | None:
    """Return the length or None; `__len__` of a DataLoader of a stream raises."""
    try:
        return len(value)
    except TypeError:
        return None


def _fits(shape: tuple[int, ...], form: tuple[Any, ...]) -> bool:
    """Return whether a shape has the form; "B" stands for any size."""
    return len(shape) == len(form) and all(
        wanted in ("B", size) for size, wanted in zip(shape, form, strict=True)
    )


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} {list(value.shape)}".removeprefix("torch.")
    return type(value).__name__
