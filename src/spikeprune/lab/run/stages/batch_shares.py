"""Each process's share of the batches; together they see what one process would."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from spikeprune.data import Batches, Data
from spikeprune.distributed.collectives import rank, require_same, require_same_tensors, world_size
from spikeprune.errors import DataError

_LOADER = (
    "a loader of yours must hand out the whole global batch on every rank, of which spikeprune "
    "takes that rank's slice: use no DistributedSampler, and shuffle from a seed that is the same "
    "on all ranks"
)


def _ragged(batch: int, processes: int) -> DataError:
    return DataError(
        f"expected training batches of a multiple of {processes} samples, one slice per process, "
        f"got one of {batch}; drop the last partial batch (drop_last=True), or use another batch "
        "size or number of processes"
    )


@dataclass(frozen=True)
class _Slices:
    """Of each batch the slice of this rank, all slices equally long."""

    batches: Batches

    def __len__(self) -> int:
        return len(self.batches)

    @property
    def samples(self) -> int:
        """Samples of all ranks."""
        return self.batches.samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffling and augmentation of the next pass."""
        self.batches.set_epoch(epoch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        processes = world_size()
        for number, (x, y) in enumerate(self.batches):
            if number == 0:  # shuffles that have come apart show in the first batch of an epoch
                require_same_tensors("the first training batch", {"x": x, "y": y}, _LOADER)
            if len(y) % processes:
                raise _ragged(len(y), processes)
            share = len(y) // processes
            mine = slice(rank() * share, (rank() + 1) * share)
            yield x[..., mine, :, :, :], y[mine]


@dataclass(frozen=True)
class _Turns:
    """Every n-th batch, beginning with that of this rank."""

    batches: Batches

    def __len__(self) -> int:
        return len(range(rank(), len(self.batches), world_size()))

    @property
    def samples(self) -> int:
        """Samples of all ranks."""
        return self.batches.samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffling and augmentation of the next pass."""
        self.batches.set_epoch(epoch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return itertools.islice(self.batches, rank(), None, world_size())


def slices(batches: Batches) -> Batches:
    """Return, for training, this rank's slice of every batch; the batch itself for one process.

    Random augmentation is drawn for the whole batch, so a sample gets the same whatever the number
    of processes.

    Raises:
        DataError: (while iterated) a batch that cannot be cut into equal slices.
        RunError: (at the first batch) the ranks' batches are not the same.
    """
    return _Slices(batches) if world_size() > 1 else batches


def turns(batches: Batches) -> Batches:
    """Return, for scoring and accuracy, whole batches that the ranks take in turns.

    Every rank gets all of them where there are fewer batches than ranks: means over all ranks stay
    what they are.
    """
    shared = world_size() > 1 and len(batches) >= world_size()
    return _Turns(batches) if shared else batches


def check_shares(data: Data) -> None:
    """Refuse, before any training, data that the processes cannot share. Collective.

    Raises:
        RunError: the ranks have different numbers of batches or samples.
        DataError: a last training batch that cannot be cut into equal slices.
    """
    if world_size() == 1:
        return
    parts = {"train": data.train, "score": data.score, "validation": data.validation}
    for name, part in (*parts.items(), ("test", data.test)):
        require_same(
            f"the numbers of {name} batches and samples", (len(part), part.samples), _LOADER
        )
    _, y = next(iter(data.train))
    rest = data.train.samples - (len(data.train) - 1) * len(y)
    if 0 < rest < len(y) and rest % world_size():
        raise _ragged(rest, world_size())
