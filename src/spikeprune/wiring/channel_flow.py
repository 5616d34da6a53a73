"""Where the channels of layers arrive, seen from runs of the net with other values in some of them.

Every layer gives what it gave in a base run, changed in chosen channels, and every norm and neuron
passes on where its input changed. So what a layer, norm or neuron reads shows which channels of the
layers before arrive at which of its positions, whatever lies between: views, concatenations,
shuffles, pooling, states that are kept over time. Nothing is known of the operations themselves.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import BatchNorm2d, BatchNorm3d

from spikeprune.adapters.spike_functions.watch import Place
from spikeprune.errors import ModelError
from spikeprune.execution.forward import map_tensors
from spikeprune.wiring.channel_masks import tensor_of, tensor_owner
from spikeprune.wiring.recording import Key, Visit
from spikeprune.wiring.trace import Trace

NONE, MIXED = -1, -2
"""Of a position: no channel arrives there; several do, or which one cannot be told."""

OUTPUT = "(output)"
"""The target that is the net's own output."""


class FreeTensor(NamedTuple):
    """One axis of a parameter or buffer that no layer, norm or neuron module holds."""

    name: str
    axis: int


Source = str | FreeTensor
"""What is changed: the output of a layer, or a tensor along an axis."""

Chosen = Mapping[Source, Tensor]
"""Bool `[C]` by source: the channels that are changed."""


@final
class ChannelFlow:
    """The channels of sources at targets: layers, norms, neurons and the output.

    Attributes:
        channels: number of channels by source.
        sizes: number of positions by target; 0 where the axis of channels is not known.
        from_input: by target, the positions that change with the net's input.
        arrivals: by source and target, the channel of the source at each position, int64; `NONE`
            or `MIXED`.
    """

    def __init__(self, model: nn.Module, trace: Trace) -> None:
        self._model, self._trace = model, trace
        self._axes = self._target_axes()
        self.channels: dict[Source, int] = {
            name: int(trace.log.visits[name][0].out.shape[-trace.sample(name)])
            for name in trace.graph.layers
        }
        self.channels |= dict(_free_tensors(model, trace))
        self.sizes: dict[Key, int] = {
            key: int(trace.log.visits[key][0].x.shape[-axis]) if axis else 0
            for key, axis in self._axes.items()
        } | {OUTPUT: 0}
        # By layer, norm and neuron, what it read and gave in each call of the base run.
        self._base: dict[Key, list[tuple[Tensor, Tensor]]] = {}
        self._outputs = self._ran({}, self._trace.way.x)[1]
        draw = torch.Generator().manual_seed(0)
        self.from_input = self._run({}, map_tensors(trace.way.x, lambda x: _bumped(x, draw)))
        self.arrivals = self._followed()

    def _target_axes(self) -> dict[Key, int]:
        """Return the axis of channels of every target, from the end; 0: not known."""
        trace, visits = self._trace, self._trace.log.visits
        axes: dict[Key, int] = {name: trace.sample(name) for name in trace.graph.layers}
        for name in trace.graph.norms:
            axes[name] = _norm_axis(trace.parts[name], visits[name][0].x)
        for key in trace.graph.spiking:
            if trace.usable(key):
                axes[key] = trace.axes[key].sample
            elif not isinstance(key, Place):
                axes[key] = 0
        return axes

    def _followed(self) -> dict[Source, dict[Key, Tensor]]:
        """Return the arrivals; sources without a common target change in the same runs."""
        whole = {s: torch.ones(n, dtype=torch.bool) for s, n in self.channels.items()}
        free: list[Source] = [source for source in whole if isinstance(source, FreeTensor)]
        reached = {s: tuple(self._run({s: whole[s]})) for s in whole if s not in free}
        reached |= self._reached_together(free, whole)
        rounds: list[list[Source]] = []
        for source in whole:
            apart = (
                r for r in rounds if all(set(reached[s]).isdisjoint(reached[source]) for s in r)
            )
            found = next(apart, None)
            if found is None:
                rounds.append(found := [])
            found.append(source)
        arrivals: dict[Source, dict[Key, Tensor]] = {}
        for sources in rounds:
            arrivals |= self._decoded(sources, reached)
        return arrivals

    def _reached_together(
        self, sources: list[Source], whole: Chosen
    ) -> dict[Source, tuple[Key, ...]]:
        """Return the targets of sources of which most reach none; these are found together."""
        found = self._run({source: whole[source] for source in sources}) if sources else {}
        if len(sources) < 2 or not found:
            return {source: tuple(found) for source in sources}
        middle = len(sources) // 2
        halves = (sources[:middle], sources[middle:])
        return {s: t for half in halves for s, t in self._reached_together(half, whole).items()}

    def _decoded(
        self, sources: list[Source], reached: Mapping[Source, tuple[Key, ...]]
    ) -> dict[Source, dict[Key, Tensor]]:
        """Return which channel of each source is at each position of the targets that it reaches.

        In run (k, v) the channels change whose number has v as bit k. A position at which one
        channel arrives changes in one of the runs (k, 0) and (k, 1); of two channels, some bit
        differs, and it changes in both.
        """
        bits = max(self.channels[source] - 1 for source in sources).bit_length()
        seen = [
            [
                self._run({s: (torch.arange(self.channels[s]) >> bit) & 1 == v for s in sources})
                for v in (0, 1)
            ]
            for bit in range(max(1, bits))
        ]
        found: dict[Source, dict[Key, Tensor]] = {}
        for source in sources:
            found[source] = {
                target: _decode([[run.get(target) for run in pair] for pair in seen], size)
                for target in reached[source]
                if (size := self.sizes[target])
            } | {target: torch.tensor([]) for target in reached[source] if not self.sizes[target]}
            for target, channel in found[source].items():
                found[source][target] = channel.masked_fill(channel >= self.channels[source], MIXED)
        return found

    def _run(self, chosen: Chosen, x: Any = None) -> dict[Key, Tensor]:
        """Run with other channels; return the positions that changed, by target, if any did."""
        changed, outputs = self._ran(chosen, self._trace.way.x if x is None else x)
        if any(not _equal(a, b) for a, b in zip(outputs, self._outputs, strict=True)):
            changed[OUTPUT] = torch.ones(1, dtype=torch.bool)
        return {key: found for key, found in changed.items() if found.any()}

    def _base_output(self, key: Key, visit: Visit) -> Tensor:
        """Return what a layer, norm or neuron gives in the base run: numbers like no others.

        A weight of 0 or a spike, which resets a potential to 0, would hide what comes before.
        """
        draw = torch.Generator().manual_seed(visit.out.numel())
        if key in self._trace.graph.layers or key in self._trace.graph.norms:
            return _bumped(visit.out, draw)
        return 0.25 + 0.5 * torch.rand(visit.out.shape, generator=draw).to(visit.out)

    def _ran(self, chosen: Chosen, x: Any) -> tuple[dict[Key, Tensor], list[Tensor]]:
        changed: dict[Key, Tensor] = {}
        called: Counter[Key] = Counter()
        draw = torch.Generator().manual_seed(1)

        def see(key: Key, visit: Visit, x: Tensor) -> tuple[Tensor, Tensor]:
            """Return where the input is another than in the base run, and the output of that."""
            base = self._base.setdefault(key, [])
            if called[key] == len(base):
                base.append((x.clone(), self._base_output(key, visit)))
            before, given = base[called[key]]
            called[key] += 1
            different = (x != before) & ~(x.isnan() & before.isnan())
            axis = self._axes.get(key)
            if axis is not None:
                rows = different.movedim(-axis, 0).flatten(1) if axis else different.reshape(1, -1)
                found = rows.any(1).cpu()
                changed[key] = changed[key] | found if key in changed else found
            return different, given

        def layer(key: Key, visit: Visit, x: Tensor) -> Tensor:
            _, given = see(key, visit, x)
            if not isinstance(key, str) or key not in chosen:
                return given.clone()
            axis = self._axes[key]
            mask = chosen[key].reshape(-1, *[1] * (axis - 1)).to(given.device)
            return torch.where(mask, _bumped(given, draw, axis), given)

        def passing(key: Key, visit: Visit, x: Tensor) -> Tensor:
            different, given = see(key, visit, x)
            if not different.any():
                return given.clone()
            if different.shape != given.shape:
                different = different.any().expand_as(given)
            return torch.where(different, _bumped(given, draw), given)

        free = {s: mask for s, mask in chosen.items() if isinstance(s, FreeTensor)}
        with _changed_tensors(self._model, free, draw):
            outputs = self._trace.log.repeat(
                x,
                on_neuron=passing,
                on_layer=layer,
                on_norm=passing,
                training=self._trace.training,
            )
        if outputs is None:
            raise ModelError(
                "its forward takes another way through the net when activations change, so "
                "channels cannot be followed"
            )
        return changed, outputs


def _decode(pairs: list[list[Tensor | None]], size: int) -> Tensor:
    """Return the channel at each of `size` positions from the runs (bit, value)."""
    nothing = torch.zeros(size, dtype=torch.bool)
    channel = torch.zeros(size, dtype=torch.int64)
    any_changed, one_channel = nothing.clone(), ~nothing
    for bit, pair in enumerate(pairs):
        zero, one = (nothing if found is None else found for found in pair)
        any_changed |= zero | one
        one_channel &= zero ^ one
        channel += one.long() << bit
    channel[~one_channel] = MIXED
    channel[~any_changed] = NONE
    return channel


def _bumped(x: Tensor, draw: torch.Generator, axis: int = 0) -> Tensor:
    """Return other values, half larger and half smaller, too far away for a step to hide them.

    Each channel of an axis, counted from the end, has as many of both.
    """
    x = x.detach()
    if not x.is_floating_point() or not x.numel():
        return x.clone()
    rest = list(x.shape)
    if axis:
        rest[-axis] = 1
    number = torch.Size(rest).numel()
    sign = torch.arange(number)[torch.rand(number, generator=draw).argsort()] % 2 * 2.0 - 1
    far = 0.5 + torch.rand(x.shape, generator=draw)
    return x + (1 + 2 * x.abs().amax()) * (far * sign.reshape(rest)).to(x)


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a, b)


def _norm_axis(norm: Any, x: Tensor) -> int:
    """Return the axis of a BatchNorm's channels, from the end; 0: it cannot be told."""
    fitting = [axis for axis in range(1, x.ndim + 1) if x.shape[-axis] == norm.num_features]
    usual = 3 if isinstance(norm, BatchNorm2d) else 4 if isinstance(norm, BatchNorm3d) else 0
    for axis in (usual, x.ndim - 1):
        if axis in fitting:
            return axis
    return fitting[0] if len(fitting) == 1 else 0


def _free_tensors(model: nn.Module, trace: Trace) -> Iterator[tuple[FreeTensor, int]]:
    """Yield the axes longer than 1 of floating tensors outside of layers, norms and neurons."""
    held = [name for name in trace.parts if name in trace.log.visits]
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point() and not any(name.startswith(f"{part}.") for part in held):
            for axis, size in enumerate(tensor.shape):
                if size > 1:
                    yield FreeTensor(name, axis), size


@contextmanager
def _changed_tensors(
    model: nn.Module, chosen: Mapping[FreeTensor, Tensor], draw: torch.Generator
) -> Iterator[None]:
    """Put other values into parts of parameters and buffers while active."""
    old: list[tuple[dict[str, Any], str, Tensor]] = []
    try:
        for (name, axis), mask in chosen.items():
            holder, local = tensor_owner(model, name)
            stores: tuple[dict[str, Any], ...] = (holder._parameters, holder._buffers)
            store = next(one for one in stores if local in one)
            tensor = tensor_of(model, name)
            old.append((store, local, tensor))
            shape = [-1 if d == axis else 1 for d in range(tensor.ndim)]
            mask = mask.reshape(shape).to(tensor.device)
            other = torch.where(mask, _bumped(tensor, draw), tensor.detach())
            store[local] = nn.Parameter(other) if isinstance(tensor, nn.Parameter) else other
        yield
    finally:
        for store, local, tensor in reversed(old):
            store[local] = tensor
