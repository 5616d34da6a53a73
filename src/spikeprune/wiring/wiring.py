"""Which weights feed which neurons, and whose spikes a layer reads: found by a trace, not by names.

One time slice runs through the model with neurons passed through; hooks note the autograd node
of every layer, norm and neuron, and the graph between them is walked. Neurons emit random bits
there, so that whether an operand is binary follows from the graph and from no batch: additive
joins and average pooling leave {0, 1}, max pooling, reshaping, AND and IAND do not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvTransposeNd

from spikeprune.adapters.base import adapter_for, spiking_neurons
from spikeprune.errors import ModelError
from spikeprune.wiring.trace_log import LAYERS, SliceLog, operation

# Nodes after which channel i of a tensor is no longer channel i of its source.
_REARRANGING = (
    "Cat",
    "Stack",
    "Split",
    "Unbind",
    "Permute",
    "Transpose",
    "T",
    "Roll",
    "Flip",
    "Index",
    "IndexSelect",
    "Gather",
    "ChannelShuffle",
    "PixelShuffle",
    "PixelUnshuffle",
)


@dataclass(frozen=True)
class Layer:
    """One prunable layer, a convolution or a linear layer.

    Attributes:
        name: name of the module.
        kind: 'conv' or 'linear'.
        feeds: names of the neurons that its output reaches without passing another layer or
            neuron; empty for the classifier.
        sources: names of the neurons whose spikes it reads; empty where it reads the image, or
            another layer's analog output.
        binary: whether its operand is 0 or 1 whenever spikes are.
        input_shape: of one sample and one time slice, `[C, *space]` or `[F]`.
        output_shape: likewise.
        norms: names of the BatchNorms between the layer and the neurons that it feeds.
        macs: multiply-accumulates of one sample and one time slice, dense, borders included.
    """

    name: str
    kind: str
    feeds: tuple[str, ...]
    sources: tuple[str, ...]
    binary: bool
    input_shape: torch.Size
    output_shape: torch.Size
    norms: tuple[str, ...]
    macs: int


@dataclass(frozen=True)
class Wiring:
    """The layers of a model and the neurons between them.

    Attributes:
        layers: by name, in the model's order.
        neurons: number of channels of each neuron module, by name, in the model's order.
    """

    layers: dict[str, Layer]
    neurons: dict[str, int]

    def spread(self, layer: str, values: Mapping[str, Tensor]) -> Tensor:
        """Bring one value per channel of the neurons to the output channels of a layer.

        A layer that feeds several neurons takes their mean. Where a flatten lies between a
        convolution and a neuron, a channel takes the mean over its block of positions.

        Args:
            layer: name of a layer that feeds a neuron.
            values: `[C]` per neuron, at least of those that the layer feeds.

        Returns:
            `[C_out]`.

        Raises:
            ModelError: the layer feeds no spiking neuron.
        """
        found = self.layers[layer]
        if not found.feeds:
            raise ModelError(
                f"expected a layer that feeds a spiking neuron, got {layer!r}, which feeds none; "
                "rank its weights by saliency alone"
            )
        channels = found.output_shape[0]
        blocks = [values[name].reshape(channels, -1).mean(1) for name in found.feeds]
        return torch.stack(blocks).mean(0)

    def source_rates(self, layer: str, rates: Mapping[str, Tensor]) -> Tensor:
        """Estimate how often each input channel of a layer is not zero.

        Args:
            layer: name of a layer.
            rates: firing rate `[C]` per neuron, of all neurons.

        Returns:
            `[C_in]` in [0, 1]; for a linear layer behind a flatten `[C * positions]`, a channel's
            rate repeated. Several sources are taken as independent, 1 - prod(1 - rate): exact in
            expectation for an additive join of independent spikes, too high for AND and IAND.
            Pooling on the way, which raises the rate, is left out. Where the layer reads the
            image or another layer, every entry is 1.
        """
        found = self.layers[layer]
        inputs = found.input_shape[0]
        if not found.sources:
            return torch.ones(inputs).to(next(iter(rates.values())))
        silent = torch.stack([1 - rates[name] for name in found.sources]).prod(0)
        return (1 - silent).repeat_interleave(inputs // len(silent))


def trace(model: nn.Module, example: Tensor) -> Wiring:
    """Find the wiring of a model by running one time slice of it.

    Args:
        model: holds spiking neurons of one framework; it is left as it was.
        example: one slice, `[B, C, H, W]` or `[B, F]`; only its shape, device and type matter.

    Raises:
        ModelError: (naming the module) a layer, norm or neuron that is not reached, or reached
            more than once per slice; a weight that is computed on the fly or used by two layers;
            a channel that cannot be followed between layer and neuron; a model that cannot run
            on one slice; or no neurons that can be observed.
    """
    adapter, neurons = adapter_for(model), spiking_neurons(model)
    parts = _parts(model, neurons)
    log = SliceLog(parts, frozenset(neurons))
    with adapter.tracing(model):
        log.run(model, example)
    log.check()
    return _Graph(parts, log).wiring()


@final
class _Graph:
    """The autograd graph of a trace, cut at the outputs of layers and neurons."""

    def __init__(self, parts: Mapping[str, nn.Module], log: SliceLog) -> None:
        self._parts, self._log = parts, log
        self._layers = [n for n, m in parts.items() if isinstance(m, LAYERS)]
        self._norms = [n for n, m in parts.items() if isinstance(m, _BatchNorm)]
        self._neurons = [n for n in parts if n in log.neurons]
        self._cuts = {log.after[n] for n in (*self._layers, *self._neurons)}

    def wiring(self) -> Wiring:
        """Walk back from every neuron, norm and layer."""
        into = {n: self._cone(self._log.before[n]) for n in (*self._neurons, *self._layers)}
        behind = {n: self._cone(self._log.after[n]) for n in self._norms}
        layers = {name: self._layer(name, into, behind) for name in self._layers}
        return Wiring(layers, {n: self._log.shapes[n][0][0] for n in self._neurons})

    def _cone(self, start: Node | None) -> set[Node]:
        """All nodes that lead to `start`, up to and with the nearest layers and neurons."""
        found: set[Node] = set()
        nodes = [start]
        while nodes:
            node = nodes.pop()
            if node is None or node in found:
                continue
            found.add(node)
            if node not in self._cuts:
                nodes.extend(n for n, _ in node.next_functions)
        return found

    def _layer(
        self, name: str, into: Mapping[str, set[Node]], behind: Mapping[str, set[Node]]
    ) -> Layer:
        log, module, output = self._log, self._parts[name], self._log.after[name]
        feeds = tuple(n for n in self._neurons if output in into[n])
        sources = tuple(n for n in self._neurons if log.after[n] in into[name])
        norms = (
            b
            for b in self._norms
            if output in behind[b] and any(log.after[b] in into[n] for n in feeds)
        )
        for neuron in feeds:
            self._follow(name, neuron, into[neuron], log.shapes[name][1], log.shapes[neuron][0])
        for neuron in sources:
            self._follow(name, neuron, into[name], log.shapes[neuron][1], log.shapes[name][0])
        inputs, outputs = log.shapes[name]
        kind = "linear" if isinstance(module, nn.Linear) else "conv"
        if kind == "linear" and len(inputs) != 1:
            raise ModelError(
                f"expected {name!r} to read [batch, features], got {(-1, *inputs)}; token-wise "
                "linear layers are not supported, keep them out of the model or use convolutions"
            )
        return Layer(
            name=name,
            kind=kind,
            feeds=feeds,
            sources=sources,
            binary=bool(sources) and log.binary[name] and self._spikes_only(into[name]),
            input_shape=inputs,
            output_shape=outputs,
            norms=tuple(norms),
            macs=outputs.numel() * cast(Tensor, module.weight)[0].numel(),
        )

    def _spikes_only(self, cone: set[Node]) -> bool:
        spikes = {self._log.after[n] for n in self._neurons}
        ends = (n for n in cone if n in self._cuts or hasattr(n, "variable"))
        return all(n in spikes for n in ends)

    @staticmethod
    def _follow(
        layer: str, neuron: str, between: set[Node], first: torch.Size, then: torch.Size
    ) -> None:
        """Refuse when channel i of `first` is not channel i, or block i, of `then`."""
        moved = sorted({operation(n) for n in between} & set(_REARRANGING))
        flattened = len(then) == 1 < len(first) and then[0] % first[0] == 0
        if moved or not (flattened or first[0] == then[0]):
            why = f"{', '.join(moved)} between them" if moved else f"{first[0]} against {then[0]}"
            raise ModelError(
                f"expected the channels of layer {layer!r} and neuron {neuron!r} to correspond one "
                f"to one, or block by block behind a flatten, got {why}; concatenation, shuffling "
                "and transposition of channels are not supported"
            )


def _parts(model: nn.Module, neurons: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Neurons, layers and norms by name; what is inside of a neuron belongs to the neuron."""
    parts: dict[str, nn.Module] = {}
    owners: dict[Tensor, str] = {}
    for name, module in model.named_modules():
        if any(name.startswith(f"{neuron}.") for neuron in neurons):
            continue
        if isinstance(module, _ConvTransposeNd):
            raise ModelError(
                f"expected convolutions and linear layers, got {name!r} "
                f"({type(module).__name__}); transposed convolutions cannot be pruned"
            )
        if isinstance(module, LAYERS):
            owner = owners.setdefault(module.weight, name)
            if owner != name:
                raise ModelError(
                    f"expected a weight of its own in every layer, got one that {owner!r} and "
                    f"{name!r} share; untie them"
                )
        if name in neurons or isinstance(module, (*LAYERS, _BatchNorm)):
            parts[name] = module
    return parts
