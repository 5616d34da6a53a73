"""Each process's share of the batches: all processes together see what one process would see."""

import itertools
from collections.abc import Iterable, Iterator
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


def slices(batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, for training, this rank's slice of every batch; with one process, the whole batches.

    Random augmentation is drawn for the whole batch, so a sample does not depend on the number of
    processes. Batches that differ between ranks or that cannot be cut equally are refused.
    """
    processes = world_size()
    if processes == 1:
        yield from batches
        return
    for number, (x, y) in enumerate(batches):
        if number == 0:  # ranks that shuffle differently differ in the first batch of an epoch
            require_same_tensors("the first training batch", {"x": x, "y": y}, _LOADER)
        if len(y) % processes:
            raise _ragged(len(y), processes)
        share = len(y) // processes
        mine = slice(rank() * share, (rank() + 1) * share)
        yield x[..., mine, :, :, :], y[mine]


@dataclass(frozen=True)
class _Turns:
    """Every n-th batch for n processes, from the batch with this rank's number on."""

    batches: Batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return itertools.islice(self.batches, rank(), None, world_size())


def turns(batches: Batches) -> Iterable[tuple[Tensor, Tensor]]:
    """Return, for scoring and accuracy, the whole batches that are this rank's turn."""
    # Of fewer batches than ranks, every rank gets all: means over all ranks do not change.
    shared = world_size() > 1 and len(batches) >= world_size()
    return _Turns(batches) if shared else batches


def check_shares(data: Data) -> None:
    """Refuse data that the processes cannot share, before any training. Collective."""
    if world_size() == 1:
        return
    for name in ("train", "score", "validation", "test"):
        part: Batches = getattr(data, name)
        what = f"the numbers of {name} batches and samples"
        require_same(what, (len(part), part.samples), _LOADER)
    _, y = next(iter(data.train))
    rest = data.train.samples - (len(data.train) - 1) * len(y)
    if 0 < rest < len(y) and rest % world_size():
        raise _ragged(rest, world_size())
