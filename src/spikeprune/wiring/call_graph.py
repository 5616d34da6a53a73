"""The autograd graph of a recorded forward, cut at the outputs of layers and neurons."""

from collections.abc import Mapping
from typing import Any, final

from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.modules.batchnorm import _BatchNorm

from spikeprune.adapters.spike_functions.watch import Place
from spikeprune.execution.autograd_graph import ancestors
from spikeprune.wiring.recording import Key
from spikeprune.wiring.trace_log import LAYERS, CallLog, operation

# Operations between a layer's output and its weight if the layer uses its weight as it is.
_PLAIN = (
    "Convolution", "Addmm", "Mm", "Linear", "T", "Transpose", "View", "UnsafeView", "Squeeze",
    "Unsqueeze", "Expand", "Slice", "ReshapeAlias", "AsStrided", "Clone", "Add", "Permute",
)  # fmt: skip
# Operations that leave channel i, or block i behind a flatten, where it is.
_KEEPING = frozenset({
    "NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm", "MaxPool2DWithIndices", "AvgPool2D",
    "MaxPool1DWithIndices", "AvgPool1D", "AdaptiveAvgPool2D", "Add", "Sub", "Mul", "Neg", "Relu",
    "View", "UnsafeView", "ReshapeAlias", "Clone", "Expand", "Alias", "AccumulateGrad",
    "torch::autograd::AccumulateGrad", "Copy", "ToCopy",
})  # fmt: skip


@final
class CallGraph:
    """Which layers, norms and neurons of a record lead to which.

    Attributes:
        layers: names of the layers that were called.
        norms: names of the BatchNorms that were called.
        spiking: the neurons: names of modules, and places in the code.
    """

    def __init__(
        self, parts: Mapping[str, nn.Module], neurons: frozenset[str], log: CallLog
    ) -> None:
        self._log = log
        called = [name for name in parts if name in log.visits]
        self.layers = [n for n in called if isinstance(parts[n], LAYERS)]
        self.norms = [n for n in called if isinstance(parts[n], _BatchNorm)]
        self.spiking: list[Key] = [n for n in called if n in neurons]
        self.spiking += [key for key in log.visits if isinstance(key, Place)]
        self.spiking = self._real()
        self._cut()

    def _cut(self) -> None:
        """Walk back from every layer, neuron and norm to the nearest layers and neurons."""
        visits = self._log.visits
        self._after = {key: {v.after for v in visits[key]} for key in (*self.layers, *self.spiking)}
        cuts = self._roots = {node for nodes in self._after.values() for node in nodes}
        self._into = {key: self._cone((v.before for v in visits[key]), cuts) for key in self._after}
        self._behind = {n: self._cone((v.after for v in visits[n]), cuts) for n in self.norms}
        self._out = self._cone(self._log.outputs, cuts)

    @staticmethod
    def _cone(starts: Any, cuts: set[Node | None]) -> set[Node]:
        found: set[Node] = set()
        for start in starts:
            found.update(ancestors(start, cuts.__contains__))
        return found

    def _real(self) -> list[Key]:
        """Return the neurons whose spikes leave their module, and that read more than parameters.

        Some neurons call their spike function a second time to compute their reset.
        """
        self._cut()
        roots = {node for n in self.layers for node in self._after[n]}
        roots |= {node for key in self.spiking for node in self._after[key]}
        real: list[Key] = []
        for key in self.spiking:
            if not isinstance(key, Place):
                real.append(key)
                continue
            others = [
                self._into[k]
                for k in self._into
                if not (isinstance(k, Place) and k.module == key.module)
            ]
            leaves = any(node in cone for cone in (*others, self._out) for node in self._after[key])
            own = self._after[key]
            reads = any(
                (node in roots and node not in own) or _is_input(node) for node in self._into[key]
            )
            if leaves and reads:
                real.append(key)
        return real

    def feeds(self, layer: str) -> list[Key]:
        """Return the neurons that a layer's output reaches first."""
        return [k for k in self.spiking if not self._after[layer].isdisjoint(self._into[k])]

    def sources(self, layer: str) -> list[Key]:
        """Return the neurons whose spikes a layer reads."""
        return [k for k in self.spiking if not self._after[k].isdisjoint(self._into[layer])]

    def norms_between(self, layer: str, neurons: list[Key]) -> tuple[str, ...]:
        """Return the BatchNorms between a layer and neurons."""
        nodes = {node for key in neurons for node in self._into[key]}
        return tuple(
            n
            for n in self.norms
            if not self._after[layer].isdisjoint(self._behind[n])
            and not {v.after for v in self._log.visits[n]}.isdisjoint(nodes)
        )

    def only_spikes(self, layer: str) -> bool:
        """Whether nothing but spikes leads to what a layer reads."""
        spikes = {node for key in self.spiking for node in self._after[key]}
        return all(
            node in spikes
            for node in self._into[layer]
            if node in self._roots or hasattr(node, "variable")
        )

    def reads_layers(self, layer: str) -> bool:
        """Whether a layer reads what another gave, not only through neurons, and no input."""
        given = {node for name in self.layers for node in self._after[name]}
        return not given.isdisjoint(self._into[layer]) and not self.reads_input(layer)

    def reads_input(self, layer: str) -> bool:
        """Whether a layer reads the input of the net, not only through neurons."""
        return any(_is_input(node) for node in self._into[layer])

    def keeps_channels(self, then: Key, axis: int) -> bool:
        """Whether all operations ahead of a layer or neuron leave channels where they are.

        `axis` is that of the channels, counted from the end.
        """
        return all(_keeps(n, axis) for n in self._into[then] if n not in self._roots)

    def uses_weight(self, name: str, weight: Tensor) -> bool:
        """Whether only operations of `_PLAIN` lie between a layer's output and its weight."""
        for visit in self._log.visits[name]:
            if visit.after is None:
                continue  # detached: the layer cannot compute its weight with a gradient
            nodes = self._inside(visit.before, visit.after)
            if not any(getattr(n, "variable", None) is weight for n in nodes):
                return False
        return True

    @staticmethod
    def _inside(before: Node | None, after: Node | None) -> list[Node]:
        """Return the nodes of a layer, from its output back to its input and parameters."""
        return [
            n
            for n in ancestors(after, lambda n: n is before or operation(n) not in _PLAIN)
            if n is not before
        ]


def _keeps(node: Node, axis: int) -> bool:
    """Whether an operation leaves channels where they are; `axis` is theirs, from the end."""
    if operation(node) != "Mean":
        return operation(node) in _KEEPING
    sizes = getattr(node, "_saved_self_sym_sizes", ())
    dims = [int(d) - 2**64 if int(d) >= 2**63 else int(d) for d in getattr(node, "_saved_dim", ())]
    return bool(dims) and all(len(sizes) - d % len(sizes) < axis for d in dims)


def _is_input(node: Node) -> bool:
    variable = getattr(node, "variable", None)
    return isinstance(variable, Tensor) and not isinstance(variable, nn.Parameter)
