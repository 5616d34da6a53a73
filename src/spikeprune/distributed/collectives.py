"""Collective operations on the ranks of one run: sums, agreement, and work of the main process.

They use the default group of `torch.distributed`, or do what a single process would do. All ranks
must call functions marked *collective* in the same order.
"""

import hashlib
import importlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch import Tensor, nn

from spikeprune.errors import RunError

if dist.is_available():
    # If this is first imported when a group exists, as data parallel training does, its functions
    # hold the group as their default. Then the group's threads live until the interpreter ends,
    # and a thread that asks for Python's lock then aborts the process after its work is done.
    importlib.import_module("torch.distributed.nn.functional")

T = TypeVar("T")
_PATIENCE = timedelta(days=2)  # of ranks that wait for work of rank 0, such as an evaluation
_PATIENT: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # default group -> patient group


def world_size() -> int:
    """Return the number of processes that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def is_main() -> bool:
    """Whether this is the process that writes files and prints."""
    return rank() == 0


def sum_over_ranks(value: Tensor) -> Tensor:
    """Return the sum over the ranks of tensors of one shape, bit-identical on all. Collective.

    The backend must support the tensor's device: gloo any, nccl CUDA.
    """
    if world_size() == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total


def mean_over_ranks(value: float) -> float:
    """Return the mean of the ranks' numbers. Collective."""
    return sum(gather(value)) / world_size()


def gather(value: T) -> list[T]:
    """Return every rank's value, small and picklable, in order of rank. Collective."""
    values: list[Any] = [value] * world_size()
    if world_size() > 1:
        dist.all_gather_object(values, value)
    return values


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return a hash of tensors and their names; equal hashes mean equal bits."""
    state = hashlib.sha256()
    for name, tensor in tensors.items():
        state.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype}".encode())
        # Memory formats, that is strides, may differ between ranks.
        flat = tensor.detach().reshape(-1).contiguous().view(torch.uint8)
        state.update(flat.cpu().numpy().data)
    return state.hexdigest()


def require_same(what: str, value: Any, advice: str) -> None:
    """Refuse, on every rank, unless all ranks hold an equal value. Collective.

    The value is small and picklable. The error shows it unless it is a string, such as a `digest`.
    """
    values = gather(value)
    others = [str(number) for number, there in enumerate(values) if there != values[0]]
    if not others:
        return
    differ = f"ranks {', '.join(others)} differ" if others[1:] else f"rank {others[0]} differs"
    listed = "; ".join(f"rank {number}: {there}" for number, there in enumerate(values))
    shown = "" if isinstance(value, str) else f" ({listed})"
    raise RunError(
        f"expected {what} to be the same on all {len(values)} ranks, but "
        f"{differ} from rank 0{shown}; {advice}"
    )


def require_same_tensors(what: str, tensors: Mapping[str, Tensor], advice: str) -> None:
    """Refuse unless all ranks hold the same named tensors bit for bit. Collective."""
    if world_size() > 1:
        require_same(what, digest(tensors), advice)


def agree(work: Callable[[], T]) -> T:
    """Do this rank's work and return its result if it succeeded on all ranks. Collective.

    `work` must call nothing collective, where a rank that failed would be missing. An error of this
    rank is raised as it is, else a RunError quotes that of the first rank that failed.
    """
    if world_size() == 1:
        return work()
    failure: Exception | None = None
    result: T
    try:
        result = work()
    except Exception as error:
        failure = error
    reports = gather(None if failure is None else f"{type(failure).__name__}: {failure}")
    if failure is not None:
        raise failure
    for number, report in enumerate(reports):
        if report is not None:
            raise RunError(f"rank {number} failed: {report}")
    return result


def by_main(work: Callable[[], T]) -> T:
    """Let rank 0 work while the others wait, and return its result on every rank. Collective.

    `work` must call nothing collective, and its result must be small and picklable. Its error is
    raised on rank 0; on the others, a RunError quotes it.
    """
    if world_size() == 1:
        return work()
    world = dist.group.WORLD
    if world not in _PATIENT:
        _PATIENT[world] = dist.new_group(backend="gloo", timeout=_PATIENCE)
    reply: list[Any] = [None, None]
    failure: Exception | None = None
    if is_main():
        try:
            reply[0] = work()
        except Exception as error:
            failure, reply[1] = error, f"{type(error).__name__}: {error}"
    dist.broadcast_object_list(reply, src=0, group=_PATIENT[world])
    if failure is not None:
        raise failure
    if reply[1] is not None:
        raise RunError(f"rank 0 failed: {reply[1]}")
    return cast(T, reply[0])


def main_first(work: Callable[[], T]) -> T:
    """Work on rank 0, then on the other ranks, which can use its files. Collective."""
    results: list[T] = []
    by_main(lambda: results.append(work()))
    return results[0] if results else work()


@torch.no_grad()
def settle_buffers_(model: nn.Module) -> None:
    """Give all ranks the same buffers, such as the running statistics of BatchNorm. Collective.

    If any buffer differs, floating-point buffers become their mean over the ranks: running
    statistics are linear in the batches' statistics, so the mean is that over all ranks' batches
    (for a variance, the mean of the variances within them). Other buffers become rank 0's.
    """
    if world_size() == 1:
        return
    buffers = dict(model.named_buffers())
    if len(set(gather(digest(buffers)))) == 1:
        return
    for buffer in buffers.values():
        if buffer.is_floating_point():
            buffer.copy_(sum_over_ranks(buffer) / world_size())
        else:
            dist.broadcast(buffer, src=0)
