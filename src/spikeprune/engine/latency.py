"""Latency of a forward pass: warmed up, median, no gradient."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor

from spikeprune.engine.forward import is_static

__all__ = ["BATCH_SIZES", "measure_latency", "of_size"]

BATCH_SIZES = (1, 32)

_WARM_UP = 2
_RUNS = (3, 30)
_SECONDS = 1.0


def of_size(x: Tensor, size: int) -> Tensor:
    """Return a batch of `size` samples, those of `x` (static or events) repeated as needed."""
    axis = 0 if is_static(x) else 1
    index = torch.arange(size, device=x.device) % x.shape[axis]
    return x.index_select(axis, index)


@torch.no_grad()
def measure_latency(run: Callable[[Tensor], Any], x: Tensor) -> dict[str, float]:
    """Return the median milliseconds of `run` on batches of 1 and 32, as `{"b1", "b32"}`.

    Each is the median of 3 to 30 runs within about a second, after two runs to warm up, with the
    threads that torch is set to.

    Args:
        run: one forward pass.
        x: a batch whose samples are used, static or events (see `engine.forward.is_static`).
    """
    return {f"b{size}": _median_ms(run, of_size(x, size)) for size in BATCH_SIZES}


def _median_ms(run: Callable[[Tensor], Any], x: Tensor) -> float:
    for _ in range(_WARM_UP):
        run(x)
    least, most = _RUNS
    times: list[float] = []
    while len(times) < least or (len(times) < most and sum(times) < _SECONDS):
        _wait(x)
        start = time.perf_counter()
        run(x)
        _wait(x)
        times.append(time.perf_counter() - start)
    return 1000 * median(times)


def _wait(x: Tensor) -> None:
    """Wait for the device, which otherwise only queues the work."""
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
