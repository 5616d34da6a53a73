"""The user's own loaders, with a check of every batch."""

from collections.abc import Iterable, Iterator
from typing import Any, Self, final

import torch
from torch import Tensor

from spikeprune.data.batches import classes_of, pair_of
from spikeprune.data.types import Kind
from spikeprune.errors import DataError


@final
class CheckedLoader:
    """A user's iterable of `(x, y)` batches, such as a DataLoader, that checks every batch.

    It yields images `[B, C, H, W]` or recordings `[T, B, C, H, W]` with classes int64 `[B]`. Taken
    are recordings `[B, T, C, H, W]` as well, labels `[B, 1]` or one-hot `[B, K]`, and tuples with
    more entries, which are left out. `where` is its name in messages, `shape` is `(C, H, W)`, and
    the kind None allows both kinds.
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
        self._time_axis: int | None = None  # of recordings, once a batch has shown it

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
    def given(self) -> Iterable[Any]:
        """What the user gave."""
        return self._batches

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
        try:
            x, labels = pair_of(batch)
            self._check_x(x, where)
            x = self._time_first(x, where)
            y = classes_of(labels, self._classes)
        except DataError as error:
            said = str(error)
            raise error if said.startswith(where) else DataError(f"{where}: {said}") from None
        if len(y) != x.shape[-4]:
            raise DataError(f"{where}: expected {x.shape[-4]} labels, one a sample, got {len(y)}")
        return x.to(torch.float32), y

    def _time_first(self, x: Tensor, where: str) -> Tensor:
        """Return recordings as `[T, B, C, H, W]`; a batch of other than T samples shows the axis.

        Raises:
            DataError: every batch so far has T samples, so the axes cannot be told apart.
        """
        if x.ndim == 4:
            return x
        if x.shape[0] != x.shape[1]:
            self._time_axis = 0 if x.shape[0] == self._time_steps else 1
        if self._time_axis is None:
            raise DataError(
                f"{where}: expected a batch of other than T = {self._time_steps} samples, got "
                f"{_describe(x)}, in which time and samples cannot be told apart; choose another "
                "batch size"
            )
        return x.movedim(self._time_axis, 0)

    def _check_x(self, x: Any, where: str) -> None:
        static: tuple[Any, ...] = ("B", *self._shape)
        events = [(self._time_steps, *static), ("B", self._time_steps, *static[1:])]
        wanted = [static] * (self._kind != "events") + events * (self._kind != "static")
        floating = isinstance(x, Tensor) and x.is_floating_point()
        if floating and any(_fits(tuple(x.shape), form) for form in wanted):
            return
        names = " or ".join(f"[{', '.join(map(str, form))}]" for form in wanted)
        raise DataError(
            f"{where}: expected normalised floating point {names}, with T = {self._time_steps} "
            f"time steps for events, got {_describe(x)}"
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
