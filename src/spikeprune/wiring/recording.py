"""One run of a net: recorded, with random bits for spikes, or repeated with other values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from spikeprune.adapters.spike_functions.watch import Place, SpikeCall
from spikeprune.adapters.toolkit import first_input
from spikeprune.execution.autograd_graph import sources

Key = str | Place
"""Name of a layer, norm or neuron module, or the place where a spike function is called."""


@final
class _Emit(torch.autograd.Function):
    """Replaces values and keeps the graph, which is walked but never run backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor) -> Tensor:
        return values.clone()


@dataclass
class Visit:
    """One call of a layer, norm or neuron.

    Attributes:
        x: what it read, detached; the argument of a spike function.
        out: what it gave, detached; of a neuron the bits that it emitted.
        before: autograd node of what it read.
        after: node of what it gave.
        call: of a spike function, with its own output.
        rest: what a module gave behind its spikes, such as states.
    """

    x: Tensor
    out: Tensor
    before: Node | None = None
    after: Node | None = None
    call: SpikeCall | None = None
    rest: tuple[Any, ...] | None = None


OnVisit = Callable[[Key, Visit, Tensor], Tensor]
"""Takes a visit of the record and what is read now; returns what is given now."""


@final
class Recording:
    """The first run: notes every call, and lets neurons emit random bits."""

    def __init__(self, neurons: frozenset[str]) -> None:
        self._neurons = neurons
        self.analog: set[str] = set()
        self._visits: dict[Key, list[Visit]] = {}
        self._bits = torch.Generator().manual_seed(0)

    def _drawn(self, like: Tensor) -> Tensor:
        made = torch.randint(0, 2, like.shape, generator=self._bits)
        made.view(-1)[::4] = 1  # so that a sum of two spikes is seen
        return made.to(like)

    def module(self, name: str, part: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        """Note the call of a module (a forward hook behind `name`); neurons give random bits."""
        x, given = first_input(args, kwargs), output[0] if isinstance(output, tuple) else output
        if name in self._neurons:
            if bool(((given != 0) & (given != 1)).any()):
                self.analog.add(name)
            given = cast(Any, _Emit).apply(x, self._drawn(given))
        visit = Visit(x.detach().clone(), given.detach().clone(), x.grad_fn, given.grad_fn)
        self._visits.setdefault(name, []).append(visit)
        if not isinstance(output, tuple):
            return given
        visit.rest = output[1:]
        return _joined(given, output)

    def spike(self, call: SpikeCall) -> Tensor | None:
        """Note the call of a spike function and return random bits; None: it is no binary step."""
        if not _binary_step(call):
            return None
        emitted = self._drawn(call.output)
        visit = Visit(call.arguments[0].detach().clone(), emitted.clone(), call=call)
        self._visits.setdefault(call.place, []).append(visit)
        return emitted

    def finished(self) -> dict[Key, list[Visit]]:
        """Return the visits, with the nodes that exist only after the calls."""
        for visit in (v for visits in self._visits.values() for v in visits):
            if visit.call is not None and visit.call.node is not None:
                edges = sources(visit.call.node)
                visit.after, visit.before = visit.call.node, edges[0][0] if edges else None
        return self._visits


class OtherWay(Exception):
    """A repeated run took another way through the net than the recorded one."""


@final
class Repeat:
    """A further run, in which layers and neurons give what a function of their visit returns."""

    def __init__(self, visits: Mapping[Key, list[Visit]]) -> None:
        self._visits = visits
        self._place: dict[Key, int] = {}

    def _visit(self, key: Key, x: Tensor) -> Visit:
        number = self._place[key] = self._place.get(key, -1) + 1
        visits = self._visits.get(key, [])
        if number >= len(visits) or visits[number].x.shape != x.shape:
            raise OtherWay
        return visits[number]

    def module(self, name: str, on_visit: OnVisit, *args: Any, **kwargs: Any) -> Any:
        """Return what `on_visit` gives in place of a module's output."""
        x = first_input(args, kwargs).detach()
        visit = self._visit(name, x)
        given = on_visit(name, visit, x)
        return given if visit.rest is None else (given, *visit.rest)

    def spike(self, on_visit: OnVisit, call: SpikeCall) -> Tensor | None:
        """Return what `on_visit` gives in place of spikes; None: the function was not recorded."""
        if call.place not in self._visits:
            return None
        x = call.arguments[0].detach()
        visit = self._visit(call.place, x)
        return on_visit(call.place, visit, _with_others(x, visit, call))


def _with_others(x: Tensor, visit: Visit, call: SpikeCall) -> Tensor:
    """Return the argument of a spike function, NaN where another one, as a threshold, changed."""
    recorded = () if visit.call is None else visit.call.arguments
    for before, now in zip(recorded[1:], call.arguments[1:], strict=False):
        if isinstance(before, Tensor) and isinstance(now, Tensor) and before.shape == now.shape:
            changed = before.detach() != now.detach()
            if changed.any():
                x = x.masked_fill(changed, torch.nan)
    return x


def _joined(first: Tensor, output: tuple[Any, ...]) -> Any:
    """Return a module's output with other spikes before its states."""
    parts = (first, *output[1:])
    return output._make(parts) if hasattr(output, "_make") else parts


def _binary_step(call: SpikeCall) -> bool:
    """Whether a call turned a floating tensor into as many values, all 0 or 1."""
    out, x = call.output, call.arguments[0] if call.arguments else None
    if not isinstance(x, Tensor) or not isinstance(out, Tensor) or not x.is_floating_point():
        return False
    if out.shape != x.shape or not x.ndim:
        return False
    return bool(((out == 0) | (out == 1)).all()) and not _is_binary(x)


def _is_binary(x: Tensor) -> bool:
    return bool(((x == 0) | (x == 1)).all()) and bool(x.any())
