"""Groups of tied channels from where channels arrive: what can be cut, and why the rest cannot."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, final

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from spikeprune.wiring.channel_flow import MIXED, OUTPUT, ChannelFlow, FreeTensor, Source
from spikeprune.wiring.channel_masks import tensor_of
from spikeprune.wiring.recording import Key
from spikeprune.wiring.tied_channels import ChannelGroup, Member, fault
from spikeprune.wiring.trace import Trace

Side = tuple[str, str]
"""Name and role of a member of a group."""

_IS_OUTPUT = "its channels are the output of the net"


def followed_channels(
    model: nn.Module, trace: Trace
) -> tuple[tuple[ChannelGroup, ...], dict[str, str]]:
    """Return the groups of channels that can be followed, and by layer why others cannot be cut.

    Channels are followed by `ChannelFlow` through the forward as the net's owner calls it. Layers
    whose channels are the output of the net are in neither.

    Raises:
        ModelError: the forward takes another way through the net when activations change.
    """
    ties = _Ties(model, trace)
    groups = tuple(ties.groups())
    taken = {name for group in groups for name in group.producers}
    whole = {name: ties.why(name) for name in trace.graph.layers if name not in taken}
    return groups, {name: why for name, why in whole.items() if why != _IS_OUTPUT}


@final
class _Ties:
    """Positions of layers, norms, neurons and tensors that live and die together.

    All positions of all sides are numbered; tied ones are a set, of which one is the root.
    """

    def __init__(self, model: nn.Module, trace: Trace) -> None:
        self._model, self._trace = model, trace
        self._names: dict[Key, str] = {**{n: n for n in trace.parts}, **trace.names()}
        self._flow = ChannelFlow(model, trace)
        self._places: dict[Side, range] = {}
        for source, size in self._flow.channels.items():
            self._add(self._out(source), size)
        for target, size in self._flow.sizes.items():
            self._add(self._in(target), size)
        self._side = [side for side, places in self._places.items() for _ in places]
        self._parent = list(range(len(self._side)))
        self._faults: dict[int, str] = {}
        self._tie()
        self._sets: dict[int, list[int]] = {}
        for position in range(len(self._parent)):
            self._sets.setdefault(self._root(position), []).append(position)
        self._find_faults()

    def _add(self, side: Side, size: int) -> None:
        if side not in self._places:
            start = sum(map(len, self._places.values()))
            self._places[side] = range(start, start + size)

    @staticmethod
    def _out(source: Source) -> Side:
        if isinstance(source, FreeTensor):
            return f"{source.name}:{source.axis}", "tensor"
        return source, "out"

    def _in(self, target: Key) -> Side:
        if not isinstance(target, str):
            return self._names[target], "site"
        part = self._trace.parts.get(target)
        if isinstance(part, _ConvNd | nn.Linear):  # of a depthwise convolution both are rows
            return target, "out" if _depthwise(part) else "in"
        return target, "norm" if isinstance(part, _BatchNorm) else "state"

    def _root(self, position: int) -> int:
        while self._parent[position] != position:
            self._parent[position] = self._parent[self._parent[position]]
            position = self._parent[position]
        return position

    def _tie(self) -> None:
        """Tie the channels of sources to the positions where they arrive."""
        for source, targets in self._flow.arrivals.items():
            if isinstance(source, FreeTensor) and any(MIXED in t for t in targets.values()):
                continue  # it has no entry per channel along this axis
            own = self._places[self._out(source)]
            for target, channels in targets.items():
                places = self._places[self._in(target)]
                for position, channel in enumerate(channels.tolist()):
                    if channel >= 0:
                        self._parent[self._root(places[position])] = self._root(own[channel])

    def _blame(self, positions: Iterator[int] | range, why: str) -> None:
        for position in positions:
            self._faults.setdefault(position, why)

    def _find_faults(self) -> None:
        """Note the positions that cannot be cut, and why."""
        for name, part in self._trace.parts.items():
            sides = [side for side in self._places if side[0] == name and side[1] != "tensor"]
            why = fault(part, name, self._flow.sizes.get(name, 0)) if sides else None
            if why is None and name in self._trace.graph.layers and not self._trace.prunable(name):
                why = f"the weight of {name!r} is computed in the forward or shared"
            for side in sides if why else ():
                self._blame(self._places[side], str(why))
        for source, targets in self._flow.arrivals.items():
            for target in targets:
                if isinstance(source, str):
                    self._find_mixed(source, target)
        self._find_tensors()
        for target, changed in self._flow.from_input.items():
            if self._flow.sizes[target]:
                first = self._places[self._in(target)][0]
                joined = (first + p for p in changed.nonzero().flatten().tolist())
                self._blame(joined, "its channels are joined with the input of the net")

    def _find_mixed(self, source: str, target: Key) -> None:
        """Note channels of a layer that leave the net, or of which several arrive together."""
        own, arrived = self._places[source, "out"], self._places[self._in(target)]
        name = self._names.get(target, OUTPUT)
        mixed = (self._flow.arrivals[source][target] == MIXED).nonzero().flatten().tolist()
        if target == OUTPUT:
            self._blame(own, _IS_OUTPUT)
        elif not arrived:
            self._blame(own, f"it is not known which channels of {name!r} they drive")
        elif mixed:
            why = f"channels of {source!r} are mixed on the way to {name!r}"
            self._blame(own, why)
            self._blame((arrived[p] for p in mixed), why)

    def _find_tensors(self) -> None:
        """Note tensors with one entry per channel that have several axes of that kind."""
        tied = [s for s in self._places if s[1] == "tensor" and self._is_tied(self._places[s])]
        names = Counter(side[0].rpartition(":")[0] for side in tied)
        for side in tied:
            name, places = side[0].rpartition(":")[0], self._places[side]
            shape = tuple(tensor_of(self._model, name).shape)
            if names[name] > 1 or shape.count(len(places)) > 1:
                why = f"which axis of {name!r}, of shape {shape}, is that of channels is not known"
                self._blame(places, why)

    def _is_tied(self, places: range) -> bool:
        return any(len(self._sets[self._root(position)]) > 1 for position in places)

    def why(self, layer: str) -> str:
        """Return why the output channels of a layer are in no group."""
        for position in self._places[layer, "out"]:
            for tied in self._sets[self._root(position)]:
                if tied in self._faults:
                    return self._faults[tied]
        return "no layer reads its channels, or a part of them is tied otherwise than the rest"

    def groups(self) -> Iterator[ChannelGroup]:
        """Yield the groups, in the model's order of layers."""
        taken: set[int] = set()
        for name in self._trace.graph.layers:
            places = self._places[name, "out"]
            roots = {self._root(position): position for position in places}
            if _depthwise(self._trace.parts[name]) or not taken.isdisjoint(roots):
                continue
            tied = [Counter(self._side[p] for p in self._sets[root]) for root in roots]
            sound = not any(p in self._faults for root in roots for p in self._sets[root])
            read = any(role == "in" for _, role in tied[0])
            if sound and read and len(roots) == len(places) and all(one == tied[0] for one in tied):
                taken.update(roots)
                yield ChannelGroup(name, len(places), tuple(self._members(list(roots), tied[0])))

    def _members(self, roots: list[int], sides: Mapping[Side, int]) -> Iterator[Member]:
        for side, places in self._places.items():
            if side in sides:
                index = [
                    [p - places[0] for p in self._sets[root] if self._side[p] == side]
                    for root in roots
                ]
                name = side[0].rpartition(":")[0] if side[1] == "tensor" else side[0]
                yield Member(name, side[1], torch.tensor(index), len(places))


def _depthwise(layer: Any) -> bool:
    return (
        isinstance(layer, _ConvNd) and layer.groups == layer.in_channels == layer.out_channels > 1
    )
