"""Synaptic operations of every layer and firing rates of all neurons, counted by hooks."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd

from spikeprune.adapters.speedups import computed
from spikeprune.adapters.spike_functions.site import observing_sites
from spikeprune.adapters.toolkit import Watching, first_input
from spikeprune.errors import ModelError
from spikeprune.execution.recomputing import recomputing
from spikeprune.science.cost import (
    conv_fan_out,
    conv_reads,
    dense_macs,
    is_spikes,
    transposed_reads,
)
from spikeprune.wiring.wiring import Layer, Wiring

_CACHED = 2**17  # elements


@dataclass
class LayerCount:
    """Operands of one layer, summed over samples and steps."""

    module: Any  # the convolution or linear layer
    nonzero: Tensor | None = None  # [C_in, *space] int64, non-zero operands per input position
    # [C_in, *space] float64, sum of absolute operands; None for spikes, or operands of no neuron
    values: Tensor | None = None
    slices: int = 0  # samples x steps (x 1 where a hoisted layer computes one step)
    output_size: tuple[int, ...] = ()  # output positions per space axis
    dense: int = 0  # multiply-accumulates of all slices
    spikes: bool = True  # whether all operands were 0 or 1, of a layer that is judged by values
    # Reads of calls at other sizes of input or output.
    _finished: list[Tensor] = field(default_factory=list)
    _finished_values: list[Tensor] = field(default_factory=list)

    @property
    def weight(self) -> Tensor:
        """The layer's weight."""
        weight: Tensor = self.module.weight.detach()
        return weight

    def accumulates(self, layer: Layer) -> bool:
        """Return whether all operands were spikes, so that the layer adds and never multiplies."""
        return self.spikes if layer.by_values else layer.binary

    def synops(self) -> int:
        """Return the synaptic operations of all samples and steps."""
        return int((self.reads().long() * self._fan_out()).sum())

    def reads(self) -> Tensor:
        """Return the operands read by each kernel position of each channel, `[C_in, *kernel]`."""
        assert self.nonzero is not None
        return sum(self._finished, self._read(self.nonzero))

    def operations(self, operands: Tensor) -> Tensor:
        """Return the operations of operands `[C_in, *space]` of calls of one size, a scalar.

        It is linear in the operands, and gradients reach them.
        """
        return (self._read(operands) * self._fan_out()).sum()

    def add(self, nonzero: Tensor, values: Tensor | None, output_size: tuple[int, ...]) -> None:
        """Add the operands of one call."""
        sizes = nonzero.shape, output_size
        if self.nonzero is not None and sizes != (self.nonzero.shape, self.output_size):
            self._finish()
        self.output_size = output_size
        self.nonzero = nonzero if self.nonzero is None else self.nonzero + nonzero
        if values is not None:
            self.values = values if self.values is None else self.values + values

    def _finish(self) -> None:
        """Keep what was read so far, of a layer that is called at several sizes."""
        self._finished = [self.reads()]
        if self.values is not None:
            self._finished_values = [sum(self._finished_values, self._read(self.values))]
        self.nonzero = self.values = None

    def value_weighted(self) -> float | None:
        """Return the operations with each operand counted by its size: 2 for two added spikes."""
        if self.values is None:
            return None
        reads = sum(self._finished_values, self._read(self.values))
        return float((reads * self._fan_out()).sum())

    def _fan_out(self) -> Tensor:
        """Return the live weights at each kernel position of each input channel."""
        if getattr(self.module, "transposed", False):
            return (self.weight != 0).sum(1)
        return conv_fan_out(self.weight, getattr(self.module, "groups", 1))

    def _read(self, sums: Tensor) -> Tensor:
        if isinstance(self.module, nn.Linear):
            return sums
        kernel = self.weight.shape[2:]
        if self.module.transposed:
            return transposed_reads(
                sums,
                kernel,
                stride=self.module.stride,
                padding=self.module.padding,
                dilation=self.module.dilation,
                output_size=self.output_size,
            )
        padded, geometry = _geometry(self.module, sums)
        return conv_reads(padded, kernel, output_size=self.output_size, **geometry)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of `reads`, as tensors and plain values."""
        return {
            "nonzero": self.nonzero,
            "output_size": list(self.output_size),
            "finished": self._finished,
            "spikes": self.spikes,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`."""
        counted = state["nonzero"]
        self.nonzero = None if counted is None else counted.to(self.weight.device)
        self.output_size = tuple(state["output_size"])
        self._finished = [reads.to(self.weight.device) for reads in state.get("finished", [])]
        self.spikes = state.get("spikes", True)


def _geometry(module: Any, counts: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """Return counts, padded where padding is not zeros, and the geometry of the convolution."""
    if module.padding == "same":
        totals = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        pads = [(total // 2, total - total // 2) for total in totals]
    elif module.padding == "valid":
        pads = [(0, 0)] * len(module.kernel_size)
    else:
        pads = [(p, p) for p in module.padding]
    if module.padding_mode != "zeros":
        # Padding repeats positions, and so it repeats counts; float64 keeps them exact.
        both = [side for pad in reversed(pads) for side in pad]
        padded = functional.pad(counts.double()[None], both, mode=module.padding_mode)[0]
        counts, pads = padded.to(counts.dtype), [(0, 0)] * len(pads)
    geometry = {"stride": module.stride, "dilation": module.dilation}
    return counts, {**geometry, "padding": [before for before, _ in pads]}


@dataclass
class NeuronCount:
    """Spikes of the neurons of one name, summed over samples and steps."""

    axes: int | None  # of one sample at one step: channels and space; None: not known
    spikes: Tensor | float = 0.0
    places: int = 0  # neurons x samples x steps
    # Which neurons have fired, `[C, *space]`, by size of the input.
    _fired: dict[torch.Size, Tensor] = field(default_factory=dict)

    def add(self, spikes: Tensor) -> None:
        """Add the spikes of one call, `[..., C, *space]`."""
        self.places += spikes.numel()
        if self.axes is None:
            dtype = torch.promote_types(spikes.dtype, torch.float32)
            self.spikes = self.spikes + spikes.sum(dtype=dtype).double()
            return
        sums = position_sums(spikes, self.axes, lambda part: part)
        self.spikes = self.spikes + sums.sum(dtype=torch.float64)
        before = self._fired.get(sums.shape)
        fired = sums != 0
        self._fired[sums.shape] = fired if before is None else before | fired

    @property
    def silent(self) -> tuple[int, int]:
        """How many neurons never fired, of how many; (0, 0) if that is not known."""
        masks = self._fired.values()
        return sum(int((~fired).sum()) for fired in masks), sum(fired.numel() for fired in masks)


@dataclass
class Counts:
    """Counts of `counting`: layers and neurons by name."""

    layers: dict[str, LayerCount] = field(default_factory=dict)
    neurons: dict[str, NeuronCount] = field(default_factory=dict)

    def firing_rate(self, names: tuple[str, ...] | None = None) -> float | None:
        """Return spikes per neuron and step of the named neurons (None: all), None without any.

        Neurons that were not seen are left out, such as those that call no spike function in eval
        mode.
        """
        rows = self._chosen(names)
        places = sum(row.places for row in rows)
        return sum(float(row.spikes) for row in rows) / places if places else None

    def silent_share(self, names: tuple[str, ...] | None = None) -> float | None:
        """Return the share of the named neurons (None: all) that never fired, None without any.

        Neurons count by position, also where they share a channel.
        """
        rows = [row.silent for row in self._chosen(names)]
        total = sum(count for _, count in rows)
        return sum(silent for silent, _ in rows) / total if total else None

    def silent_shares(self) -> dict[str, float]:
        """Return `silent_share` by name of neuron, where it is known."""
        shares = {name: self.silent_share((name,)) for name in self.neurons}
        return {name: share for name, share in shares.items() if share is not None}

    def _chosen(self, names: tuple[str, ...] | None) -> list[NeuronCount]:
        chosen = self.neurons if names is None else names
        return [self.neurons[name] for name in chosen if name in self.neurons]


@contextmanager
def counting(model: nn.Module, wiring: Wiring, *, train: bool | None = None) -> Iterator[Counts]:
    """Count in every forward while active; afterwards no hook is left, also after an exception.

    Forwards that activation checkpointing runs again are left out.

    `train` True counts forwards in training mode only, False those in eval mode, None both. The net
    has the layers and neurons of `wiring`, with as many channels as traced or fewer.

    Raises:
        ModelError: (while active) a layer of another kind, or a layer that reads spikes by its
            graph but got values other than 0 and 1 (not with `train`: dropout scales spikes).
    """
    counts = Counts()

    def hang(name: str, hook: Callable[..., None]) -> None:
        def in_mode(*call: Any) -> None:
            if not recomputing() and (train is None or model.training is train):
                hook(*call)

        module = model.get_submodule(name)
        stack.callback(module.register_forward_hook(Watching(in_mode), with_kwargs=True).remove)

    with ExitStack() as stack:
        for name, layer in wiring.layers.items():
            module = model.get_submodule(name)
            if not isinstance(module, _ConvNd | nn.Linear):
                raise ModelError(
                    f"expected a convolution or linear layer at {name!r}, got "
                    f"{type(module).__name__}, whose operations cannot be counted"
                )
            counts.layers[name] = LayerCount(module)
            hang(name, _layer_hook(counts.layers[name], layer, strict=train is not True))
        for name in wiring.neurons.keys() - wiring.sites.keys():
            hang(name, _neuron_hook(counts, name, wiring.sample_axes.get(name)))
        sinks = {site: _site_sink(counts, name) for name, site in wiring.sites.items()}
        if sinks:
            stack.enter_context(observing_sites(model, sinks))
        yield counts


def _layer_hook(count: LayerCount, layer: Layer, *, strict: bool) -> Callable[..., None]:
    axes = count.weight.ndim - 1

    def hook(module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
        x = computed(module, first_input(args, kwargs)).detach()
        values = None
        if layer.binary and strict and not layer.by_values:
            nonzero = _spikes(x, axes, layer.name).long()
        else:
            nonzero = position_sums(x, axes, lambda part: (part != 0).float()).long()
            if layer.by_values:
                count.spikes = count.spikes and is_spikes(x)
            if layer.sources and not layer.binary:
                values = position_sums(x, axes, torch.abs).double()
        size, slices = tuple(output.shape[output.ndim - axes + 1 :]), x.numel() // nonzero.numel()
        count.add(nonzero, values, size)
        count.slices += slices
        # A transposed convolution sends every input to all positions of its kernel.
        places = nonzero.shape[1:] if getattr(module, "transposed", False) else size
        count.dense += dense_macs(count.weight.shape, places) * slices

    return hook


def position_sums(x: Tensor, axes: int, term: Callable[[Tensor], Tensor]) -> Tensor:
    """Sum `term(x)` over all but the last `axes` axes; exact for counts up to 2^24 a batch."""
    # Reduced in the order of memory: across it (channels_last) a sum takes ten times as long.
    moved = axes > 1 and not x.is_contiguous()
    if moved:
        x = x.movedim(-axes, -1)
    shape = x.shape[-axes:]
    dtype = torch.promote_types(x.dtype, torch.float32)
    sums = torch.zeros(shape.numel(), dtype=dtype, device=x.device)
    rows = x.reshape(-1, shape.numel())
    # On a CPU, a block of rows and what is computed from it stay in the cache.
    size = len(rows) if rows.is_cuda else _CACHED // max(1, shape.numel())
    for block in torch.split(rows, max(1, size)):
        sums += term(block).sum(0, dtype=dtype)
    sums = sums.reshape(shape)
    return sums.movedim(-1, 0) if moved else sums


def _spikes(x: Tensor, axes: int, name: str) -> Tensor:
    """Return the spikes per input position; refuse values other than 0 and 1."""
    wrong: list[Tensor] = []

    def term(part: Tensor) -> Tensor:
        # Only 0 and 1 equal their squares; infinity minus itself is NaN, which is not 0 either.
        wrong.append((part * part).sub_(part).abs_().sum())
        return part

    counts = position_sums(x, axes, term)
    if wrong and bool(torch.stack(wrong).sum() != 0):
        other = x[(x != 0) & (x != 1)].flatten()[0].item()
        raise ModelError(
            f"expected spikes (0 or 1) at the input of {name!r}, as the traced graph says, got "
            f"{other:g}; its operations would be counted as the wrong kind. Trace the model as it "
            "is now; a neuron that emits other values is not supported"
        )
    return counts


def _neuron_hook(counts: Counts, name: str, axes: int | None) -> Callable[..., None]:
    def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        output = output[0] if isinstance(output, tuple) else output
        counts.neurons.setdefault(name, NeuronCount(axes)).add(output.detach())

    return hook


def _site_sink(counts: Counts, name: str) -> Callable[[Tensor], None]:
    def take(x: Tensor) -> None:
        if recomputing():
            return
        counts.neurons.setdefault(name, NeuronCount(x.ndim - 2)).add(x >= 0)

    return take
