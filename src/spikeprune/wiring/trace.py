"""Finding the wiring of a net by walking the autograd graph of one time slice."""

from collections.abc import Mapping
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvTransposeNd

from spikeprune.adapters.registry import adapter_for, spiking_neurons
from spikeprune.errors import ModelError
from spikeprune.execution.autograd_graph import ancestors
from spikeprune.wiring.trace_log import LAYERS, SliceLog, operation
from spikeprune.wiring.wiring import Layer, Wiring

# After these operations, channel i is no longer channel i of the operand.
_REARRANGING = {
    "Cat", "Stack", "Split", "Unbind", "Permute", "Transpose", "T", "Roll", "Flip",
    "Index", "IndexSelect", "Gather", "ChannelShuffle", "PixelShuffle", "PixelUnshuffle",
}  # fmt: skip


def trace(model: nn.Module, example: Tensor) -> Wiring:
    """Find the wiring of a model by running one time slice of it.

    Args:
        model: holds spiking neurons of one framework; it does not change.
        example: one slice, `[B, C, H, W]` or `[B, F]`; only its shape, device and type matter.

    Raises:
        ModelError: (naming the module) a layer, norm or neuron is not reached, or more than once
            per slice; a weight is computed in the forward or shared by two layers; a channel
            cannot be followed between layer and neuron; the model cannot run on one slice; or it
            has no neurons that can be observed.
    """
    adapter, neurons = adapter_for(model), spiking_neurons(model)
    parts = _modules_to_trace(model, neurons)
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
        self._into = {n: self._cone(log.before[n]) for n in (*self._neurons, *self._layers)}
        self._behind = {n: self._cone(log.after[n]) for n in self._norms}

    def wiring(self) -> Wiring:
        """Return the wiring, by walks back from every neuron, norm and layer."""
        layers = {name: self._layer(name) for name in self._layers}
        return Wiring(layers, {n: self._log.shapes[n][0][0] for n in self._neurons})

    def _cone(self, start: Node | None) -> set[Node]:
        """Return the nodes that lead to `start`, back to the nearest layers and neurons."""
        return set(ancestors(start, self._cuts.__contains__))

    def _layer(self, name: str) -> Layer:
        log, into, module, output = self._log, self._into, self._parts[name], self._log.after[name]
        feeds = tuple(n for n in self._neurons if output in into[n])
        sources = tuple(n for n in self._neurons if log.after[n] in into[name])
        fed = {node for n in feeds for node in into[n]}
        norms = tuple(n for n in self._norms if output in self._behind[n] and log.after[n] in fed)
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
        binary = bool(sources) and log.binary[name] and self._spikes_only(into[name])
        macs = outputs.numel() * cast(Tensor, module.weight)[0].numel()
        return Layer(name, kind, feeds, sources, binary, inputs, outputs, norms, macs)

    def _spikes_only(self, cone: set[Node]) -> bool:
        spikes = {self._log.after[n] for n in self._neurons}
        return all(n in spikes for n in cone if n in self._cuts or hasattr(n, "variable"))

    @staticmethod
    def _follow(
        layer: str, neuron: str, between: set[Node], first: torch.Size, then: torch.Size
    ) -> None:
        """Refuse unless channel i of shape `first` is channel i, or block i, of shape `then`."""
        moved = sorted({operation(n) for n in between} & _REARRANGING)
        flattened = len(then) == 1 < len(first) and then[0] % first[0] == 0
        if moved or not (flattened or first[0] == then[0]):
            why = f"{', '.join(moved)} between them" if moved else f"{first[0]} against {then[0]}"
            raise ModelError(
                f"expected the channels of layer {layer!r} and neuron {neuron!r} to correspond one "
                f"to one, or block by block behind a flatten, got {why}; concatenation, shuffling "
                "and transposition of channels are not supported"
            )


def _modules_to_trace(model: nn.Module, neurons: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Return neurons, layers and norms by name, without the modules inside of neurons."""
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
