"""Finding the wiring of a net by walking the autograd graph of a forward as its owner calls it."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, final

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikeprune.adapters.registry import owner, spiking_modules
from spikeprune.adapters.spike_functions.site import Axes, SpikeSite
from spikeprune.adapters.spike_functions.step import explains, step_of
from spikeprune.adapters.spike_functions.watch import Place
from spikeprune.distributed.data_parallel import inner_model
from spikeprune.errors import ConfigError, ModelError
from spikeprune.execution.forward import LAYOUTS, Layout
from spikeprune.science.cost import is_spikes
from spikeprune.wiring import notes
from spikeprune.wiring.axes import Reads, axes_of, reads_of
from spikeprune.wiring.call_graph import CallGraph
from spikeprune.wiring.eval_mode import modules_to_switch
from spikeprune.wiring.owners_call import OwnersCall, possible_calls
from spikeprune.wiring.recording import Key
from spikeprune.wiring.trace_log import LAYERS, CallLog, channels_in_code, kind_of
from spikeprune.wiring.wiring import Layer, Wiring


def trace(
    model: nn.Module,
    example: Any,
    *,
    time_steps: int | None = None,
    layout: Layout | None = None,
) -> Wiring:
    """Find the wiring of a model by running it as its owner does, on a few samples.

    Neurons are modules of a known framework, modules with a method `observe_potential`, and places
    where a spike function is called (an autograd function that turns a potential into 0 and 1).
    What cannot be mapped is said in the notes of the result.

    Args:
        model: the net; it does not change.
        example: one slice, `[B, C, *space]` or `[B, F]`, or a batch as the model takes it (layout
            `batch`, or a function); except for a function, values do not matter.
        time_steps: T of a forward. None: 1, or what the model runs itself.
        layout: how the model is called, see `execution.forward.forward`. None: found by trying, and
            proved by the number of steps that the neurons run.

    Raises:
        ModelError: the model does not run on the example, or has no layer that can be pruned.
        ConfigError: an unknown layout, or no time step.
    """
    return traced(model, example, time_steps=time_steps, layout=layout).wiring()


def traced(
    model: nn.Module, example: Any, *, time_steps: int | None = None, layout: Layout | None = None
) -> "Trace":
    """Return the record that `trace` reads the wiring from; arguments and errors are its own."""
    if time_steps is not None and time_steps < 1:
        raise ConfigError(f"expected at least one time step, got time_steps={time_steps}")
    model = inner_model(model)
    refused: list[ModelError] = []
    found: Trace | None = None
    for way in possible_calls(model, example, time_steps=time_steps, layout=layout):
        try:
            one, proved = _traced(model, way)
        except ModelError as error:
            refused.append(error)
            continue
        if layout is not None or proved:
            return one
        found = found or one
    if found is not None:
        return found
    asked = "" if layout is None else f" (layout {layout!r}; there are {', '.join(LAYOUTS)})"
    raise ModelError(f"{refused[0]}{asked}") from refused[0]


def _traced(model: nn.Module, way: OwnersCall) -> tuple["Trace", bool]:
    """Return the trace for one way to call the net, and whether its neurons prove the way."""
    neurons = spiking_modules(model)
    log = _recorded(model, neurons, way)
    if log.analog:  # a readout that never fires is no neuron
        neurons = {name: module for name, module in neurons.items() if name not in log.analog}
        log = _recorded(model, neurons, way)
    hidden: frozenset[Place] = frozenset()
    if not neurons:  # those of some frameworks call their spike function in training only
        trained = _recorded(model, neurons, way, training=True)
        hidden = trained.places - log.places
        log = trained if hidden else log
    one = Trace(_parts(model, neurons), frozenset(neurons), log, way, hidden=hidden)
    return one, one.proves() if one.graph.spiking else not log.keeps_state(way.x)


def _recorded(
    model: nn.Module, neurons: Mapping[str, nn.Module], way: OwnersCall, *, training: bool = False
) -> CallLog:
    parts = _parts(model, neurons)
    log = CallLog(
        model,
        layers={n: m for n, m in parts.items() if isinstance(m, LAYERS)},
        norms={n: m for n, m in parts.items() if isinstance(m, _BatchNorm)},
        neurons=neurons,
        run=way.run,
    )
    log.record(way.x, training=training)
    return log


def _parts(model: nn.Module, neurons: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Return layers, norms and neurons by name, without the modules inside of neurons."""
    return {
        name: module
        for name, module in model.named_modules()
        if not any(name.startswith(f"{neuron}.") for neuron in neurons)
        and (name in neurons or isinstance(module, (*LAYERS, _BatchNorm)))
    }


@final
class Trace:
    """What a record and its graph say of layers and neurons.

    Attributes:
        parts: layers, norms and neuron modules by name.
        log: the record.
        way: how the net was called.
        training: whether the net was in training mode, because neurons are hidden in eval mode.
        graph: which of them lead to which.
        axes: the axes of each neuron's argument, where they can be told.
    """

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        neurons: frozenset[str],
        log: CallLog,
        way: OwnersCall,
        *,
        hidden: frozenset[Place],
    ) -> None:
        self.parts, self.log, self.way = parts, log, way
        self._hidden, self.training = hidden, bool(hidden)  # in eval mode
        self.graph = CallGraph(parts, neurons, log)
        self.axes: dict[Key, Axes] = {}
        self._reads: dict[str, Reads] = {}  # by layer
        self._why: dict[str, list[str]] = {}  # reason -> layers
        self._find_axes()

    def proves(self) -> bool:
        """Whether every neuron has known axes and runs all time steps of a forward.

        A net that runs a single step in a forward may be one that is called step by step.
        """
        ran = {found.steps * len(self.log.visits[key]) for key, found in self.axes.items()}
        told = len(self.axes) == len(self.graph.spiking) and all(
            isinstance(key, Place) or self._steps_as_given(key) for key in self.axes
        )
        if self.way.steps is None:
            return told and (self.way.layout != "batch" or ran != {1})
        return told and ran == {self.way.steps}

    def wiring(self) -> Wiring:
        """Return the wiring."""
        names = self.names()
        usable = {key for key in names if self.usable(key)}
        layers = {name: self._layer(name, names, usable) for name in self.graph.layers}
        kept = [key for key in self.graph.spiking if key in usable]
        return Wiring(
            layers=layers,
            neurons={names[key]: self._channels(key) for key in kept},
            sites={
                names[key]: site
                for key in kept
                if isinstance(key, Place) and (site := self._site(key)) is not None
            },
            notes=tuple(self._notes(layers, usable)),
            products=tuple(self.log.products),
            layout=self.way.layout,
            sample_axes={names[key]: self.axes[key].sample for key in kept},
        )

    def sample(self, name: str) -> int:
        """Return the number of axes of one sample behind a layer."""
        module: Any = self.parts[name]
        return 1 if isinstance(module, nn.Linear) else int(module.weight.ndim) - 1

    def _find_axes(self) -> None:
        if self.way.other is None:
            return
        changed = self.log.compare_samples(self.way.other, training=self.training)
        if changed is None:
            return
        for key in self.graph.spiking:
            for sample in self._samples(key):
                found = axes_of(changed[key], sample=sample, batch=self.way.batch)
                if found is not None:
                    self.axes[key] = found
                    break
        for name in self.graph.layers:
            sizes = {"sample": self.sample(name), "batch": self.way.batch}
            read = reads_of(changed.get(name, ()), steps=self.way.steps, **sizes)
            self._reads |= {} if read is None else {name: read}

    def _samples(self, key: Key) -> Iterator[int]:
        """Yield the numbers of axes that a neuron's sample may have, the likeliest first."""
        x = self.log.visits[key][0].x
        fed_by = [n for n in self.graph.layers if key in self.graph.feeds(n)]
        if not fed_by:
            yield from (x.ndim - 1, x.ndim - 2)
            return
        for layer in fed_by:
            channels = self._out_channels(layer)
            most = self.sample(layer)
            for sample in dict.fromkeys((most, *range(1, most))):  # flattened positions
                if sample < x.ndim and x.shape[-sample] % channels == 0:
                    yield sample

    def _out_channels(self, layer: str) -> int:
        return int(self.log.visits[layer][0].out.shape[-self.sample(layer)])

    def _channels(self, key: Key) -> int:
        return int(self.log.visits[key][0].x.shape[-self.axes[key].sample])

    def _follows(self, first: Key, then: Key) -> bool:
        """Whether channel i of one layer or neuron is channel or block i of the next.

        Either only operations that keep channels lie between them, or a run with other values in
        some channels shows that no other channel changes.
        """
        axes = self._channel_axes
        if first not in axes or then not in axes:
            return False
        channels = int(self.log.visits[first][0].out.shape[-axes[first]])
        repeat, rest = divmod(int(self.log.visits[then][0].x.shape[-axes[then]]), channels)
        if rest:
            return False
        kept = axes[then] in (axes[first], 1)  # 1: behind a flatten
        if kept and self.graph.keeps_channels(then, axes[first]):
            return True
        changed = self._changed_channels
        return changed is not None and not any(
            bool((found.cpu() & ~channels_in_code(channels, bit).repeat_interleave(repeat)).any())
            for bit, found in enumerate(changed[then])
        )

    @cached_property
    def _channel_axes(self) -> dict[Key, int]:
        """The axis of the channels of layers and neurons, counted from the end."""
        axes: dict[Key, int] = {n: self.sample(n) for n in self.graph.layers}
        return axes | {key: found.sample for key, found in self.axes.items()}

    @cached_property
    def _changed_channels(self) -> dict[Key, list[Tensor]] | None:
        return self.log.compare_channels(self.way.x, self._channel_axes, training=self.training)

    def _steps_as_given(self, name: str) -> bool:
        """Whether a neuron module takes for time the axis that is time, and joins none."""
        form, mode = self.axes[name].form, getattr(self.parts[name], "step_mode", None)
        wanted = {"m": ("T B",), "s": ("B",)}.get(str(mode), ("B", "T B"))
        return form in wanted

    def usable(self, key: Key) -> bool:
        """Whether a neuron's potentials can be observed, in T time steps."""
        axes, steps = self.axes.get(key), self.way.steps
        if axes is None:
            return False
        if not isinstance(key, Place) and (
            not self._steps_as_given(key) or owner(self.parts[key]).opaque(self.parts[key])
        ):
            return False
        ran = axes.steps * len(self.log.visits[key])
        return (steps is None or ran == steps) and (
            not isinstance(key, Place) or self._site(key) is not None
        )

    def _site(self, place: Place) -> SpikeSite | None:
        calls = [visit.call for visit in self.log.visits[place]]
        first: Any = calls[0]
        apply = first.function.apply
        step = step_of(apply, first.arguments, first.output)
        if step is None or not all(
            c is not None and explains(step, c.arguments, c.output) for c in calls
        ):
            return None
        others, axes = first.arguments[1:], self.axes[place]
        switched = self._switched.get(place, ())
        return SpikeSite(place, first.function, others, step, axes, in_training=switched)

    @cached_property
    def _switched(self) -> Mapping[Place, tuple[str, ...]]:
        """By place hidden in eval mode the modules to run as in training."""
        hidden = self._hidden
        return modules_to_switch(self.log, self.way.x, hidden) if hidden else {}

    def names(self) -> dict[Key, str]:
        """Return a name for each neuron: that of its module, numbered where it has several."""
        modules = [key.module for key in self.graph.spiking if isinstance(key, Place)]
        names: dict[Key, str] = {}
        for key in self.graph.spiking:
            if isinstance(key, str):
                names[key] = key
                continue
            number = sum(isinstance(k, Place) and k.module == key.module for k in names) + 1
            alone = modules.count(key.module) == 1 and key.module
            names[key] = key.module if alone else f"{key.module}#{number}"
        return names

    def _layer(self, name: str, names: Mapping[Key, str], usable: set[Key]) -> Layer:
        visits, sample = self.log.visits[name], self.sample(name)
        feeds, sources = self.graph.feeds(name), self.graph.sources(name)
        transposed = kind_of(self.parts[name]) == "transposed"
        followed = [key for key in feeds if key in usable and self._follows(name, key)]
        if transposed or len(followed) < len(feeds):
            followed = []
        read = all(key in usable and self._follows(key, name) for key in sources)
        inputs, outputs = (t.shape[-sample:] for t in (visits[0].x, visits[0].out))
        weight: Tensor = self.parts[name].weight  # type: ignore[assignment]
        places = (inputs if transposed else outputs).numel()
        slices = sum(v.out.shape[: v.out.ndim - sample].numel() for v in visits)
        tokens = slices // (self.way.batch * (self.way.steps or slices))
        if feeds and not followed:
            self._blame(name, feeds, usable, tokens=tokens)
        return Layer(
            name=name,
            kind=kind_of(self.parts[name]),
            feeds=tuple(names[key] for key in followed),
            sources=tuple(names[key] for key in sources),
            binary=self._binary(name, bool(sources)),
            input_shape=inputs,
            output_shape=outputs,
            norms=self.graph.norms_between(name, followed),
            macs=places * weight[0].numel() * max(1, tokens),
            prunable=self.prunable(name),
            follows=read,
            by_values=self._by_values(name),
            reads_input=self.graph.reads_input(name),
            reads=self._reads.get(name),
            last=not feeds,
        )

    def _blame(self, layer: str, feeds: list[Key], usable: set[Key], *, tokens: int) -> None:
        steps = {self.axes[k].steps * len(self.log.visits[k]) for k in feeds if k in self.axes}
        if kind_of(self.parts[layer]) == "transposed":
            why = "the rules of regrowth are those of plain convolutions"
        elif all(key in usable for key in feeds):
            why = "their channels are mixed, joined or reordered on the way to a neuron"
        elif tokens > 1:
            why = "they run on tokens, and neurons with axes ahead of their channels are not scored"
        elif not all(key in self.axes for key in feeds):
            why = "the axes of time, samples and channels of their neurons cannot be told apart"
        elif self.way.steps is not None and steps != {self.way.steps}:
            ran = " or ".join(map(str, sorted(steps)))
            why = f"their neurons run {ran} steps or tokens, time_steps says {self.way.steps}"
        else:
            why = "the firing rule of their neurons is no step of one argument"
        self._why.setdefault(why, []).append(layer)

    def _binary(self, name: str, reads_spikes: bool) -> bool:
        visits = self.log.visits[name]
        values = all(bool(((v.x == 0) | (v.x == 1)).all()) for v in visits)
        if any(v.before is None for v in visits):  # detached: only spikes are 0 and 1 here
            return values and any(bool(v.x.any()) for v in visits)
        if self._by_values(name):
            fires = any(bool(v.x.any()) for v in visits)
            return fires and not reads_spikes and all(is_spikes(v.x) for v in visits)
        return reads_spikes and values and self.graph.only_spikes(name)

    def _by_values(self, name: str) -> bool:
        """Whether a layer reads the input, or a layer's output, through more than found neurons."""
        analog = self.graph.reads_input(name) or self.graph.reads_layers(name)
        return analog and not self.graph.only_spikes(name)

    def prunable(self, name: str) -> bool:
        """Whether a layer's weight is a parameter of its own that is used as it is."""
        module: Any = self.parts[name]
        shared = [
            n for n in self.graph.layers if getattr(self.parts[n], "weight", 0) is module.weight
        ]
        return len(shared) == 1 and self.graph.uses_weight(name, module.weight)

    def _notes(self, layers: Mapping[str, Layer], usable: set[Key]) -> Iterator[str]:
        if not usable:
            yield notes.no_neuron()
        for why, names in self._why.items() if usable else ():
            yield notes.by_saliency_alone(names, why)
        idle = [n for n, m in self.parts.items() if isinstance(m, LAYERS) and n not in layers]
        if idle:
            yield notes.never_called(idle)
        shared = [n for n, layer in layers.items() if not layer.prunable]
        if shared:
            yield notes.weights_not_their_own(shared)
        if self._hidden and not self._switched:
            yield notes.hidden_in_eval_mode(place.module for place in self._hidden)
        if self.log.products:
            yield notes.not_prunable(self.log.products)
        if self.log.opaque:
            yield notes.not_counted(self.log.opaque)
