"""Record of a net's forward as its owner calls it: what every layer, norm and neuron got and gave.

A first run records values and autograd nodes, and lets neurons emit random bits instead of their
spikes. Further runs repeat it with one thing changed, and compare: another first sample shows which
axis is that of the samples, other channels show whether channel i stays channel i.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.modules.conv import _ConvNd

from spikeprune.adapters.rest import reset, state_kept
from spikeprune.adapters.spike_functions.watch import Place, SpikeCall, watching
from spikeprune.adapters.toolkit import shadowed
from spikeprune.errors import ModelError, one_line
from spikeprune.execution.forward import evaluating, same_draws, tensors_of
from spikeprune.execution.precision import exact

LAYERS = (_ConvNd, nn.Linear)
"""Classes of the layers whose weights are prunable."""

CODES = 4  # runs with other channels: each channel has a code of this many bits

Key = str | Place
"""Name of a layer, norm or neuron module, or the place where a spike function is called."""


def operation(node: Node) -> str:
    """Return the name of a node's operation, without the suffix of its version."""
    return node.name().split("Backward")[0]


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
class _Recording:
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
        x, given = _first(args, kwargs), output[0] if isinstance(output, tuple) else output
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
                edges = visit.call.node.next_functions
                visit.after, visit.before = visit.call.node, edges[0][0] if edges else None
        return self._visits


class _Changed(Exception):
    """A repeated run took another way through the net."""


@final
class _Repeat:
    """A further run, in which layers and neurons give what a function of their visit returns."""

    def __init__(self, visits: Mapping[Key, list[Visit]]) -> None:
        self._visits = visits
        self._place: dict[Key, int] = {}

    def _visit(self, key: Key, x: Tensor) -> Visit:
        number = self._place[key] = self._place.get(key, -1) + 1
        visits = self._visits.get(key, [])
        if number >= len(visits) or visits[number].x.shape != x.shape:
            raise _Changed
        return visits[number]

    def module(self, name: str, on_visit: OnVisit, *args: Any, **kwargs: Any) -> Any:
        x = _first(args, kwargs).detach()
        visit = self._visit(name, x)
        given = on_visit(name, visit, x)
        return given if visit.rest is None else (given, *visit.rest)

    def spike(self, on_visit: OnVisit, call: SpikeCall) -> Tensor | None:
        if call.place not in self._visits:
            return None
        x = call.arguments[0].detach()
        return on_visit(call.place, self._visit(call.place, x), x)


def channels_in_code(channels: int, bit: int) -> Tensor:
    """Return the channels whose code has a bit set, bool `[channels]`.

    Up to 16 channels have codes of their own.
    """
    index = torch.arange(channels)
    mixed = index ^ (index >> 4) ^ (index >> 8) ^ (index >> 12)
    return (mixed >> bit) & 1 == 1


@final
class CallLog:
    """The record of a net's forward.

    Args:
        model: the net; it and its state are afterwards as before.
        layers: layers by name.
        norms: BatchNorms by name.
        neurons: neuron modules by name, whose output is spikes.
        run: runs the model on an input.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        layers: Mapping[str, nn.Module],
        norms: Mapping[str, nn.Module],
        neurons: Mapping[str, nn.Module],
        run: Callable[[Any], Any],
    ) -> None:
        self.visits: dict[Key, list[Visit]] = {}
        self.analog: frozenset[str] = frozenset()  # neurons that gave other values than spikes
        self.outputs: tuple[Node, ...] = ()  # nodes of the model's outputs
        self._model, self._run = model, run
        self._layers, self._norms, self._neurons = layers, norms, neurons

    def record(self, x: Any, *, training: bool = False) -> None:
        """Run the model once and note everything; a floating `x` should require a gradient.

        `training` puts it in training mode but for norms and dropout, because the neurons of some
        frameworks call no spike function in eval mode.

        Raises:
            ModelError: the model does not run.
        """
        recording = _Recording(frozenset(self._neurons))
        parts = {**self._layers, **self._neurons, **self._norms}
        with self._prepared(training=training), torch.enable_grad(), ExitStack() as stack:
            for name, part in parts.items():
                hook = functools.partial(recording.module, name)
                stack.callback(part.register_forward_hook(hook, with_kwargs=True).remove)
            stack.enter_context(watching(self._model, recording.spike))
            try:
                output = self._run(x)
            except Exception as error:  # anything that the user's code raises
                raise ModelError(
                    f"{type(self._model).__name__} does not run on the example as it is called: "
                    f"{one_line(error)}"
                ) from error
        self.visits, self.analog = recording.finished(), frozenset(recording.analog)
        self.outputs = tuple(t.grad_fn for t in tensors_of(output) if t.grad_fn is not None)

    def keeps_state(self, x: Any) -> bool:
        """Return whether a second forward gives another output than the first."""
        with self._prepared(training=False), torch.no_grad():
            first, second = ([*tensors_of(self._run(x))] for _ in range(2))
        return not all(torch.equal(a, b) for a, b in zip(first, second, strict=True))

    def compare_samples(self, x: Any, *, training: bool = False) -> dict[Key, list[Tensor]] | None:
        """Run with another first sample; return where each neuron's argument changed, by call.

        The bits that neurons emit change where their arguments did. None: the run took another
        way through the net.
        """
        changed: dict[Key, list[Tensor]] = {}

        def compare(key: Key, visit: Visit, x: Tensor) -> Tensor:
            different = x != visit.x
            changed.setdefault(key, []).append(different)
            if visit.out.shape != different.shape:
                rows = different.flatten(1).any(1) if different.ndim > 1 else different
                different = rows.reshape(-1, *[1] * (visit.out.ndim - 1))
            return torch.where(different, 1 - visit.out, visit.out)

        ran = self._repeat(x, on_neuron=compare, training=training)
        return changed if ran else None

    def compare_channels(
        self, x: Any, axes: Mapping[Key, int], *, training: bool = False
    ) -> dict[Key, list[Tensor]] | None:
        """Run with other values in some channels of every layer and neuron, `CODES` times.

        Layers and neurons give what they gave, changed in the channels whose code has bit k set in
        run k; `axes` counts the channel axis of each from the end.

        Returns:
            By layer or neuron: for each bit the channels in which what it read changed, bool `[C]`.
            None: a run took another way through the net.
        """
        found: dict[Key, list[Tensor]] = {key: [] for key in axes}

        def other(key: Key, visit: Visit, bit: int) -> Tensor:
            axis = axes.get(key)
            if axis is None or axis > visit.out.ndim:
                return visit.out.clone()
            chosen = channels_in_code(visit.out.shape[-axis], bit)
            chosen = chosen.reshape(-1, *[1] * (axis - 1)).to(visit.out.device)
            changed = 1 - visit.out if key in spiking else visit.out + 1
            return torch.where(chosen, changed, visit.out)

        spiking = {key for key in self.visits if key not in self._layers}
        for bit in range(CODES):
            seen: dict[Key, Tensor] = {}

            def compare(
                key: Key,
                visit: Visit,
                x: Tensor,
                bit: int = bit,
                seen: dict[Key, Tensor] = seen,
            ) -> Tensor:
                axis = axes.get(key)
                if axis is not None and axis <= x.ndim:
                    rest = [d for d in range(x.ndim) if d != x.ndim - axis]
                    different = (x != visit.x).any(dim=rest) if rest else x != visit.x
                    seen[key] = different | seen[key] if key in seen else different
                return other(key, visit, bit)

            if not self._repeat(x, on_neuron=compare, on_layer=compare, training=training):
                return None
            for key, different in seen.items():
                found[key].append(different)
        return found

    def _repeat(
        self,
        x: Any,
        *,
        on_neuron: OnVisit,
        on_layer: OnVisit | None = None,
        training: bool,
    ) -> bool:
        """Run again; the functions get each visit of the record and what is read now."""
        repeat = _Repeat(self.visits)
        replaced = {name: (part, on_neuron) for name, part in self._neurons.items()}
        if on_layer is not None:
            replaced |= {name: (part, on_layer) for name, part in self._layers.items()}
        with self._prepared(training=training), torch.no_grad(), ExitStack() as stack:
            for name, (part, on_visit) in replaced.items():
                forward = functools.partial(repeat.module, name, on_visit)
                stack.enter_context(shadowed(part, "forward", forward))
            spike = functools.partial(repeat.spike, on_neuron)
            stack.enter_context(watching(self._model, spike))
            try:
                self._run(x)
            except _Changed:
                return False
        return True

    @contextmanager
    def _prepared(self, *, training: bool) -> Iterator[None]:
        model = self._model
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        with ExitStack() as stack:
            for context in (evaluating(model), state_kept(model), same_draws(model), exact(device)):
                stack.enter_context(context)  # casts would separate a weight from its layer
            if training:
                for module in model.modules():
                    module.training = not isinstance(module, _MODAL)
            for parameter in model.parameters():
                if not parameter.requires_grad and parameter.is_floating_point():
                    stack.callback(parameter.requires_grad_, False)
                    parameter.requires_grad_()  # frozen ones need an edge in the graph, too
            reset(model)
            yield


_MODAL = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)


def _first(args: Any, kwargs: Any) -> Tensor:
    return next(v for v in (*args, *kwargs.values()) if isinstance(v, Tensor))


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
