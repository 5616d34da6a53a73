"""Record of a net's forward as its owner calls it: what every layer, norm and neuron got and gave.

A first run records values and autograd nodes, and lets neurons emit random bits instead of their
spikes. Further runs repeat it with one thing changed, and compare: another first sample shows which
axis is that of the samples, other channels show whether channel i stays channel i.
"""

import functools
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from spikeprune.adapters.rest import reset, state_kept
from spikeprune.adapters.spike_functions.site import as_in_training
from spikeprune.adapters.spike_functions.watch import Place, watching
from spikeprune.adapters.toolkit import first_input, shadowed
from spikeprune.errors import ModelError, one_line
from spikeprune.execution.forward import device_of, evaluating, same_draws, tensors_of
from spikeprune.execution.precision import exact
from spikeprune.execution.products import Product, watching_products
from spikeprune.wiring.recording import (
    Key,
    OnVisit,
    OtherWay,
    Recording,
    Repeat,
    Visit,
)

LAYERS = (_ConvNd, nn.Linear)
"""Classes of the layers whose weights are prunable."""


def kind_of(layer: nn.Module) -> str:
    """Return 'linear', 'conv' or 'transposed'."""
    if isinstance(layer, nn.Linear):
        return "linear"
    return "transposed" if isinstance(layer, _ConvTransposeNd) else "conv"


CODES = 4  # runs with other channels: each channel has a code of this many bits


def operation(node: Node) -> str:
    """Return the name of a node's operation, without the suffix of its version."""
    return node.name().split("Backward")[0]


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
        self.products: dict[str, None] = {}  # computed outside of layers, by module and operation
        self.opaque: dict[str, None] = {}  # operators whose operations cannot be counted
        self.model, self._run = model, run
        self._layers, self._norms, self._neurons = layers, norms, neurons

    def record(self, x: Any, *, training: bool = False) -> None:
        """Run the model once and note everything; a floating `x` should require a gradient.

        `training` puts it in training mode but for norms and dropout, because the neurons of some
        frameworks call no spike function in eval mode.

        Raises:
            ModelError: the model does not run.
        """
        recording = Recording(frozenset(self._neurons))
        parts = {**self._layers, **self._neurons, **self._norms}
        with self._prepared(training=training), torch.enable_grad(), ExitStack() as stack:
            for name, part in parts.items():
                hook = functools.partial(recording.module, name)
                stack.callback(part.register_forward_hook(hook, with_kwargs=True).remove)
            stack.enter_context(watching(self.model, recording.spike))
            products = watching_products(self.model, self._layers, self._product, self._opaque)
            stack.enter_context(products)
            try:
                output = self._run(x)
            except Exception as error:  # anything that the user's code raises
                raise ModelError(
                    f"{type(self.model).__name__} does not run on the example as it is called: "
                    f"{one_line(error)}"
                ) from error
        self.visits, self.analog = recording.finished(), frozenset(recording.analog)
        self.outputs = tuple(t.grad_fn for t in tensors_of(output) if t.grad_fn is not None)

    @property
    def places(self) -> frozenset[Place]:
        """The places where a spike function was called."""
        return frozenset(key for key in self.visits if isinstance(key, Place))

    def _product(self, product: Product) -> None:
        self.products[product.name] = None

    def _opaque(self, operator: str) -> None:
        self.opaque[operator] = None

    def keeps_state(self, x: Any) -> bool:
        """Return whether a second forward gives another output than the first."""
        with self._prepared(training=False), torch.no_grad():
            first, second = ([*tensors_of(self._run(x))] for _ in range(2))
        return not all(torch.equal(a, b) for a, b in zip(first, second, strict=True))

    def in_eval(self, x: Any, in_training: Collection[str]) -> tuple[list[Tensor], set[Place]]:
        """Run in eval mode, the modules named by `in_training` as in training.

        Returns:
            What every call of a layer read, in order, with the outputs behind; and the places of
            the functions that were called.
        """
        called: set[Place] = set()
        read: list[Tensor] = []

        def note(part: nn.Module, args: Any, kwargs: Any) -> None:
            read.append(first_input(args, kwargs).detach().clone())

        with self._prepared(training=False), torch.no_grad(), ExitStack() as stack:
            stack.enter_context(as_in_training(self.model, in_training))
            stack.enter_context(watching(self.model, lambda call: called.add(call.place)))
            for part in self._layers.values():
                stack.callback(part.register_forward_pre_hook(note, with_kwargs=True).remove)
            output = self._run(x)
            return [*read, *tensors_of(output)], called

    def compare_samples(self, x: Any, *, training: bool = False) -> dict[Key, list[Tensor]] | None:
        """Run with another first sample; return where what was read changed, by call.

        The bits that neurons emit change where their arguments did. None: the run took another
        way through the net. Calls of layers on other shapes are left out.
        """
        changed: dict[Key, list[Tensor]] = {}

        def note(name: str, part: nn.Module, args: Any, kwargs: Any) -> None:
            calls, visits = changed.setdefault(name, []), self.visits.get(name, [])
            x, number = first_input(args, kwargs).detach(), len(calls)
            if number < len(visits) and visits[number].x.shape == x.shape:
                calls.append(x != visits[number].x)

        def compare(key: Key, visit: Visit, x: Tensor) -> Tensor:
            different = x != visit.x
            changed.setdefault(key, []).append(different)
            if visit.out.shape != different.shape:
                rows = different.flatten(1).any(1) if different.ndim > 1 else different
                different = rows.reshape(-1, *[1] * (visit.out.ndim - 1))
            return torch.where(different, 1 - visit.out, visit.out)

        with ExitStack() as stack:
            for name, part in self._layers.items():
                hook = part.register_forward_pre_hook(
                    functools.partial(note, name), with_kwargs=True
                )
                stack.callback(hook.remove)
            ran = self.repeat(x, on_neuron=compare, training=training)
        return None if ran is None else changed

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

            if self.repeat(x, on_neuron=compare, on_layer=compare, training=training) is None:
                return None
            for key, different in seen.items():
                found[key].append(different)
        return found

    def repeat(
        self,
        x: Any,
        *,
        on_neuron: OnVisit,
        on_layer: OnVisit | None = None,
        on_norm: OnVisit | None = None,
        training: bool,
    ) -> list[Tensor] | None:
        """Run again; the functions get each visit of the record and what is read now.

        Returns:
            The tensors of the output; None: the run took another way through the net.
        """
        repeat = Repeat(self.visits)
        replaced = {name: (part, on_neuron) for name, part in self._neurons.items()}
        if on_layer is not None:
            replaced |= {name: (part, on_layer) for name, part in self._layers.items()}
        if on_norm is not None:
            replaced |= {name: (part, on_norm) for name, part in self._norms.items()}
        with self._prepared(training=training), torch.no_grad(), ExitStack() as stack:
            for name, (part, on_visit) in replaced.items():
                forward = functools.partial(repeat.module, name, on_visit)
                stack.enter_context(shadowed(part, "forward", forward))
            spike = functools.partial(repeat.spike, on_neuron)
            stack.enter_context(watching(self.model, spike))
            try:
                return [*tensors_of(self._run(x))]
            except OtherWay:
                return None

    @contextmanager
    def _prepared(self, *, training: bool) -> Iterator[None]:
        model = self.model
        device = device_of(model)
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
