"""Several processes, one run: what is summed over ranks, and what must be the same on all of them.

Plain `torch.distributed` on the default group; without one, or with one process, everything here
is what a single process would do. Functions marked *collective* must be called by all ranks, in
the same order; a rank that does not call leaves the others waiting.
"""

import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch import Tensor, nn

from spikeprune.errors import RunError

if dist.is_available():
    # Imported after a group is made, as data parallel training does, its functions hold the group
    # as their default. Its threads then live to the interpreter's end, where one that asks for
    # Python's lock aborts a process whose work is done.
    importlib.import_module("torch.distributed.nn.functional")

T = TypeVar("T")
_PATIENCE = timedelta(days=2)  # others wait for what rank 0 does alone, such as an evaluation
_PATIENT: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # ends with the default group


def world_size() -> int:
    """Return the number of processes that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def is_main() -> bool:
    """Whether this process is the one that writes files and speaks."""
    return rank() == 0


def sum_over_ranks(value: Tensor) -> Tensor:
    """Return the sum of the ranks' tensors of one shape, the same bits on every rank. Collective.

    The backend must serve the tensor's device: gloo any, nccl CUDA.
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
    """Return every rank's value, a small one that can be pickled, in order of rank. Collective."""
    values: list[Any] = [value] * world_size()
    if world_size() > 1:
        dist.all_gather_object(values, value)
    return values


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return a hash of tensors and their names: equal where they are equal bit for bit."""
    state = hashlib.sha256()
    for name, tensor in tensors.items():
        state.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype}".encode())
        # Strides differ where values do not: the memory format is no part of what must agree.
        flat = tensor.detach().reshape(-1).contiguous().view(torch.uint8)
        state.update(flat.cpu().numpy().data)
    return state.hexdigest()


def require_same(what: str, value: Any, advice: str) -> None:
    """Refuse unless all ranks hold an equal value. Collective.

    Args:
        what: the value, in words.
        value: a small value that can be pickled, such as a `digest`.
        advice: why ranks may differ, and what to do.

    Raises:
        RunError: (on every rank) it names the ranks that differ from rank 0; numbers and names are
            shown, a digest is not.
    """
    values = gather(value)
    others = [number for number, there in enumerate(values) if there != values[0]]
    if not others:
        return
    shown = "" if isinstance(value, str) else _listed(values)
    raise RunError(
        f"expected {what} to be the same on all {len(values)} ranks, but "
        f"{_ranks(others)} from rank 0{shown}; {advice}"
    )


def require_same_tensors(what: str, tensors: Mapping[str, Tensor], advice: str) -> None:
    """Refuse unless all ranks hold the same tensors bit for bit. Collective.

    Args:
        what: the tensors, in words.
        tensors: by name; only their digest travels.
        advice: why ranks may differ, and what to do.

    Raises:
        RunError: as `require_same`.
    """
    if world_size() > 1:
        require_same(what, digest(tensors), advice)


def _ranks(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"rank {numbers[0]} differs"
    return f"ranks {', '.join(map(str, numbers))} differ"


def _listed(values: Sequence[Any]) -> str:
    return f" ({'; '.join(f'rank {number}: {value}' for number, value in enumerate(values))})"


def agree(work: Callable[[], T]) -> T:
    """Do this rank's work, and go on only if it succeeded on all ranks. Collective.

    Args:
        work: must not call anything collective: a rank that failed would be missing there.

    Raises:
        Exception: what `work` raised here.
        RunError: it failed on other ranks only; the first of them is quoted.
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


def _patient() -> Any:
    """A group whose waiting ranks do not give up, one for the default group."""
    world = dist.group.WORLD
    if world not in _PATIENT:
        _PATIENT[world] = dist.new_group(backend="gloo", timeout=_PATIENCE)
    return _PATIENT[world]


def by_main(work: Callable[[], T]) -> T:
    """Let rank 0 work while the others wait, and return its result on every rank. Collective.

    Args:
        work: called on rank 0 only; it must not call anything collective, and its result is small
            and can be pickled.

    Raises:
        Exception: (on rank 0) what `work` raised.
        RunError: (on the others) the same, quoted.
    """
    if world_size() == 1:
        return work()
    group = _patient()
    reply: list[Any] = [None, None]
    failure: Exception | None = None
    if is_main():
        try:
            reply[0] = work()
        except Exception as error:
            failure, reply[1] = error, f"{type(error).__name__}: {error}"
    dist.broadcast_object_list(reply, src=0, group=group)
    if failure is not None:
        raise failure
    if reply[1] is not None:
        raise RunError(f"rank 0 failed: {reply[1]}")
    result: T = reply[0]
    return result


def main_first(work: Callable[[], T]) -> T:
    """Work on rank 0, then on the others: they find what it has stored. Collective."""
    results: list[T] = []
    by_main(lambda: results.append(work()))
    return results[0] if results else work()


@torch.no_grad()
def settle_buffers_(model: nn.Module) -> None:
    """Give all ranks the same buffers, such as the running statistics of BatchNorm. Collective.

    Where ranks differ, a floating-point buffer becomes the mean over them: running statistics are
    linear in those of the batches, so the mean is that of all the ranks' batches (for a variance:
    of the variances within them). Any other buffer becomes rank 0's. Equal buffers are not touched.
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
