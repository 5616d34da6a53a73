"""Batches from samples in memory."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import final

import torch
from torch import Tensor

from spikeprune.data.augment import crop, crop_padding, cutout, cutout_size, flip
from spikeprune.data.types import DataInfo, Part


def generator_for(*key: int) -> torch.Generator:
    """Return a generator seeded by a hash of `key`, such as (seed, epoch, batch)."""
    # Thanks to the hash neighbouring seeds and epochs share no random streams.
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@final
class Loader:
    """Batches of the samples `index` (int64 `[n]`) of a part in memory, which is never changed.

    The batches depend only on the seed and the epoch, so that a resumed run sees the batches of an
    uninterrupted one. `shuffle` is the seed of shuffling and augmentation, and drops a last partial
    batch; None keeps the order and the last batch, and augments nothing.
    """

    def __init__(
        self,
        part: Part,
        index: Tensor,
        info: DataInfo,
        *,
        batch_size: int,
        shuffle: int | None = None,
        augment: Sequence[str] = (),
    ) -> None:
        self._part, self._index = part, index
        self._recordings = info.kind == "events"
        span = 1.0 if self._recordings else 255.0
        mean = torch.tensor(info.mean).view(-1, 1, 1)
        std = torch.tensor(info.std).view(-1, 1, 1)
        self._gain, self._shift = 1.0 / (span * std), mean / std
        self._batch_size, self._seed, self._epoch = batch_size, shuffle, 0
        self._augment = frozenset(augment)

    @property
    def samples(self) -> int:
        """Number of samples, including a dropped last batch."""
        return len(self._index)

    @property
    def stored(self) -> tuple[Part, Tensor]:
        """The part in memory, and which of its samples are handed out, int64 `[n]`."""
        return self._part, self._index

    def __len__(self) -> int:
        whole, rest = divmod(len(self._index), self._batch_size)
        return whole if self._seed is not None or rest == 0 else whole + 1

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffling and the augmentation of the next pass."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = self._index
        if self._seed is not None:
            generator = generator_for(self._seed, self._epoch)
            order = order[torch.randperm(len(order), generator=generator)]
        for number in range(len(self)):
            chosen = order[number * self._batch_size :][: self._batch_size]
            yield self._images(chosen, number), self._part.labels[chosen]

    def _images(self, chosen: Tensor, number: int) -> Tensor:
        raw = self._part.images[chosen]
        if self._seed is None or not self._augment:
            return self._time_first(self._normalise(raw))
        generator = generator_for(self._seed, self._epoch, number)
        side = min(raw.shape[-2:])
        if "crop" in self._augment:
            raw = crop(raw, crop_padding(side), generator)
        if "flip" in self._augment:
            raw = flip(raw, generator)
        x = self._normalise(raw)
        if "cutout" in self._augment:
            x = cutout(x, cutout_size(side), generator)
        return self._time_first(x)

    def _normalise(self, raw: Tensor) -> Tensor:
        return raw.to(torch.float32).mul_(self._gain).sub_(self._shift)

    def _time_first(self, x: Tensor) -> Tensor:
        return x.transpose(0, 1).contiguous() if self._recordings else x
