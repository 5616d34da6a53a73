"""Event-driven modules that replace layers and pools, and the event-driven body of neurons."""

import functools
import importlib
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, final

import numpy as np
import torch
from torch import Tensor, nn

from spikeprune.errors import ConfigError
from spikeprune.inference.event_tables import (
    PARTS,
    Geometry,
    geometry_of,
    lane_table,
    scatter_table,
)

KERNELS = ("events", "lanes")
_log = logging.getLogger("spikeprune")
_SETTINGS_OF_NUMBA = ".numba_config.yaml"
_MOST_ROWS = 16
_GRAIN = 2**17  # neuron steps that are worth a thread

Task = Callable[[int, int], None]


@functools.cache
def _kernels() -> Any:
    """Return the compiled loops, which need numba, an optional package.

    Raises:
        ConfigError: the current folder, which may be a stranger's, has settings of numba: they say
            where it reads compiled code.
    """
    if Path(_SETTINGS_OF_NUMBA).exists():
        raise ConfigError(
            f"{Path.cwd()} has a file {_SETTINGS_OF_NUMBA}, by which numba would read and run "
            "compiled code from a place that it names; start in another folder, or move the file"
        )
    return importlib.import_module("spikeprune.inference.event_kernels")


@functools.cache
def warm_up() -> None:
    """Compile all loops, or read them from disk, once per process; the time is logged."""
    started = time.perf_counter()
    x = torch.zeros(1, 1, 2, 2)
    for kernel in KERNELS:
        EventDrivenLayer(nn.Conv2d(1, 1, 1), kernel)(x)
    EventDrivenPool(nn.MaxPool2d(2))(x)
    fire(x, 0.0, SimpleNamespace(threshold=1, reset=0, leak=None, divides=False, decay_input=False))
    _log.info("loops of the event-driven runtime ready after %.1f s", time.perf_counter() - started)


@final
class EventDrivenLayer(nn.Module):
    """A linear layer or convolution whose dead weights cost nothing.

    With the kernel `events` a live weight is multiplied once for every non-zero input; with `lanes`
    once for every output position, eight or sixteen of which share an instruction. `parts` threads,
    at most those that torch is set to, share the output channels. Inputs other than float32 on the
    CPU pass through the dense layer. There are no gradients.
    """

    def __init__(self, layer: nn.Module, kernel: str, parts: int = 1) -> None:
        super().__init__()
        self.dense, self.kernel, self.parts = layer, kernel, parts
        self._plans: dict[tuple[int, ...], _LanePlan | _ScatterPlan] = {}

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output for any leading axes."""
        layer: Any = self.dense
        if not _float32_on_cpu(x):
            return cast(Tensor, layer(x))
        space = layer.weight.ndim - 2
        lead, size = x.shape[: x.ndim - space - 1], tuple(x.shape[x.ndim - space :])
        count = lead.numel()
        rows = next((r for r in range(min(count, _MOST_ROWS), 0, -1) if count % r == 0), 1)
        plan = self._plan(rows, size)
        g = plan.geometry
        flat = x.detach().reshape(count, g.channels, *g.size).contiguous().numpy()
        out = torch.empty(count, g.out_channels, *g.out_size)
        for first in range(0, count, rows):
            part = slice(first, first + rows)
            plan.run(flat[part], out.numpy()[part], min(self.parts, torch.get_num_threads()))
        return out.reshape(*lead, g.out_channels, *g.out_size[2 - space :])

    def _plan(self, rows: int, size: tuple[int, ...]) -> "_LanePlan | _ScatterPlan":
        key = (rows, *size)
        if key not in self._plans:
            kind: Any = _LanePlan if self.kernel == "lanes" else _ScatterPlan
            self._plans[key] = kind(self.dense, geometry_of(self.dense, rows, size))
        return self._plans[key]

    def extra_repr(self) -> str:
        """Return the kernel and the threads."""
        return f"kernel={self.kernel!r}, parts={self.parts}"


class _LanePlan:
    """Tables and workspace of the kernel `lanes`, for one layer and one shape of input."""

    def __init__(self, layer: Any, geometry: Geometry) -> None:
        g = self.geometry = geometry
        self.where = g.where
        table = lane_table(layer.weight, getattr(layer, "groups", 1), g)
        self.table = (*table, _bias(layer, g), g.unfolded[1])
        self.padded = np.zeros(g.padded_length, np.float32)

    def run(self, x: Any, out: Any, parts: int) -> None:
        k, g = _kernels(), self.geometry
        spread(lambda a, b: k.unfold(x, self.where, self.padded, (a, b)), g.channels, parts)
        spread(lambda a, b: k.lanes(self.padded, self.table, out, (a, b)), g.out_channels, parts)


class _ScatterPlan:
    """Tables and workspace of the kernel `events`, for one layer and one shape of input."""

    def __init__(self, layer: Any, geometry: Geometry) -> None:
        g = self.geometry = geometry
        self.where, self.breadth = g.where, g.summed[1]
        table = scatter_table(layer.weight, getattr(layer, "groups", 1), g)
        sums = np.empty((g.out_channels, *g.summed), np.float32)
        self.table = (*table, _bias(layer, g), (sums, *g.margin))
        shape = (g.rows, g.channels * g.size[0] * g.size[1])
        rows, places = np.empty(shape, np.uint32), np.empty(shape, np.uint32)
        self.spikes = rows, places, np.empty(shape, np.float32), np.empty(g.rows, np.int64)

    def run(self, x: Any, out: Any, parts: int) -> None:
        k = _kernels()
        k.collect(x, self.where, self.breadth, self.spikes)
        spread(lambda a, b: k.scatter(self.spikes, self.table, out, (a, b)), PARTS, parts)


@final
class EventDrivenPool(nn.Module):
    """A max pool over two axes without indices; PyTorch's serves all but float32 on the CPU."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.dense = pool
        size, stride, pad = (_as_pair(v) for v in (pool.kernel_size, pool.stride, pool.padding))
        self.window = (*size, *stride, *pad)

    @staticmethod
    def fits(module: nn.Module) -> bool:
        """Return whether a module is such a pool."""
        plain = isinstance(module, nn.MaxPool2d) and _as_pair(module.dilation) == (1, 1)
        return plain and not module.ceil_mode and not module.return_indices

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled `[*, C, H', W']`."""
        if not _float32_on_cpu(x):
            return cast(Tensor, self.dense(x))
        size, stride, pad = self.window[:2], self.window[2:4], self.window[4:]
        ends = zip(x.shape[-2:], pad, size, stride, strict=True)
        planes = x.detach().reshape(-1, *x.shape[-2:]).contiguous()
        out = torch.empty(len(planes), *((n + 2 * p - k) // s + 1 for n, p, k, s in ends))
        k, given, taken = _kernels(), planes.numpy(), out.numpy()
        count, parts = len(planes), _threads_for(x)
        spread(lambda a, b: k.max_pool(given, self.window, taken, (a, b)), count, parts)
        return out.reshape(*x.shape[:-2], *out.shape[1:])


def fire(x: Tensor, v: Tensor | float, dynamics: Any) -> tuple[Tensor, Tensor] | None:
    """Return spikes and V_T of a neuron for input `x` `[T, B, *]`; None: not float32 on the CPU.

    `v` is V_0 as `[B, *]` or one number for all, `dynamics` a `neurons.lif.Dynamics`. Spikes equal
    those of `neurons.multistep.run` bit for bit.
    """
    if not _float32_on_cpu(x) or (isinstance(v, Tensor) and not _float32_on_cpu(v)):
        return None
    steps = x.detach().contiguous()
    spikes = torch.empty_like(steps)
    last = torch.empty(x.shape[1:])
    last.copy_(v) if isinstance(v, Tensor) else last.fill_(v)
    kind = (
        np.float32(dynamics.threshold),
        np.float32(dynamics.reset or 0.0),
        np.float32(1.0 if dynamics.leak is None else dynamics.leak),
        dynamics.leak is not None,
        dynamics.divides,
        dynamics.decay_input,
        dynamics.reset is None,
    )
    sequences = steps.flatten(1).numpy(), spikes.flatten(1).numpy()
    state, k = last.flatten().numpy(), _kernels()
    spread(lambda a, b: k.fire(sequences, state, kind, (a, b)), len(state), _threads_for(x))
    return spikes, last


def _float32_on_cpu(x: Tensor) -> bool:
    return x.dtype == torch.float32 and x.device.type == "cpu" and x.layout == torch.strided


def _bias(layer: Any, geometry: Geometry) -> Any:
    if layer.bias is None:
        return np.zeros(geometry.out_channels, np.float32)
    return layer.bias.detach().numpy()


def _as_pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _threads_for(x: Tensor) -> int:
    return min(torch.get_num_threads(), max(1, x.numel() // _GRAIN))


_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=_pools.clear)


def spread(task: Task, count: int, parts: int) -> None:
    """Run `task(first, last)` over 0..count in `parts` ranges at once, the last in this thread."""
    if parts <= 1:
        task(0, count)
        return
    if parts not in _pools:
        _pools[parts] = ThreadPoolExecutor(parts - 1, "spikeprune-event")
    bounds = [count * i // parts for i in range(parts + 1)]
    others = [_pools[parts].submit(task, *bounds[i : i + 2]) for i in range(parts - 1)]
    task(*bounds[-2:])
    for other in others:
        other.result()
