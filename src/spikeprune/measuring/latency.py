"""Latency of a forward pass: warmed up, median, no gradient."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch
from torch import Tensor

BATCH_SIZES = (1, 32)

Run = Callable[[Tensor], Any]

_WARM_UP = 2
_ROUNDS = (3, 30)
_SECONDS = 1.0


@torch.no_grad()
def measure_latency(
    runs: Mapping[str, Run], x: Tensor, *, axis: int = 0
) -> dict[str, dict[str, float]]:
    """Return the median milliseconds of each run on batches of 1 and 32, as `{"b1", "b32"}`.

    The runs take turns, so that other load on the machine slows all of them equally. A time is the
    median of 3 to 30 rounds within about a second, after two rounds to warm up, with the threads
    that torch is set to. The samples of `x`, which lie along `axis`, are used.
    """
    samples = [torch.arange(size, device=x.device) % x.shape[axis] for size in BATCH_SIZES]
    by_size = {f"b{len(one)}": _medians_ms(runs, x.index_select(axis, one)) for one in samples}
    return {name: {size: ms[name] for size, ms in by_size.items()} for name in runs}


def _medians_ms(runs: Mapping[str, Run], x: Tensor) -> dict[str, float]:
    for _ in range(_WARM_UP):
        for run in runs.values():
            run(x)
    least, most = _ROUNDS
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    done, spent = 0, 0.0
    while done < least or (done < most and spent < _SECONDS * len(runs)):
        for name, run in runs.items():
            _wait(x)
            start = time.perf_counter()
            run(x)
            _wait(x)
            seconds[name].append(time.perf_counter() - start)
            spent += seconds[name][-1]
        done += 1
    return {name: 1000 * median(times) for name, times in seconds.items()}


def _wait(x: Tensor) -> None:
    """Wait for a GPU, which only queues the work."""
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
