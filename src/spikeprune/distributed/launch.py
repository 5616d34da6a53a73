"""Joining and leaving the processes that torchrun or `accelerate launch` has started."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist

from spikeprune.distributed.collectives import gather, world_size
from spikeprune.errors import ConfigError, RunError, SpikePruneError

_FAILURES = "spikeprune/failures"


def launched() -> tuple[int, int]:
    """Return (rank, number of processes) from the launcher; (0, 1) without a launcher."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    return (int(os.environ.get("RANK", "0")), count) if count > 1 else (0, 1)


def _local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", "0"))


def local_device(name: str) -> torch.device:
    """Return the device of this process; each process of a machine gets its own GPU."""
    if name != "cuda" or world_size() == 1:
        return torch.device(name)
    local, there = _local_rank(), torch.cuda.device_count()
    if local >= there:
        raise ConfigError(
            f"this machine has {there} CUDA device(s), but its process {local + 1} needs one, too; "
            "start at most as many processes as devices (--nproc-per-node), or use --device cpu"
        )
    return torch.device(name, local)


@contextmanager
def processes() -> Iterator[None]:
    """Join the processes that were started together with this one while active.

    If one of them fails, all end: it raises its error, and the others exit without a message.
    """
    rank, count = launched()
    if count == 1 or dist.is_initialized():
        yield
        return
    store = _shared_store()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if _local_rank() < torch.cuda.device_count():
        torch.cuda.set_device(_local_rank())
    dist.init_process_group(backend, store=store, rank=rank, world_size=count)
    try:
        yield
        gather(None)  # no process leaves while others still communicate
    except BaseException as error:
        if not _failed_first(store):
            raise SystemExit(1) from error
        if _lost(error):
            raise RunError(
                f"rank {rank} has lost contact with another process ({error}); its own output may "
                "say why. The same command goes on after the last whole epoch"
            ) from error
        raise
    gc.collect()  # the wrapper of data parallel training is in a cycle and holds the group, too
    dist.destroy_process_group()


def speaks() -> bool:
    """Whether this process is to report an error from before `processes`."""
    return launched()[1] == 1 or _failed_first(_shared_store())


def _shared_store() -> Any:
    """Return the store by which the processes of a launcher find each other."""
    from torch.distributed.rendezvous import rendezvous  # absent from some builds of torch

    store, _, _ = next(rendezvous("env://"))
    return store


def _failed_first(store: Any) -> bool:
    """Whether no other process has failed before; true if the store is gone."""
    try:
        return bool(store.add(_FAILURES, 1) == 1)
    except RuntimeError:
        return True


def _lost(error: BaseException) -> bool:
    """Whether torch could not reach another process; gloo has no error class of its own."""
    of_torch = isinstance(error, RuntimeError) and not isinstance(error, SpikePruneError)
    return isinstance(error, dist.DistError) or (of_torch and "gloo" in str(error))
