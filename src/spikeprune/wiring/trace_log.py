"""One time slice through a model, noted by hooks: the autograd node at every layer and neuron."""

import functools
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.modules.conv import _ConvNd

from spikeprune.errors import ModelError
from spikeprune.execution.precision import exact, like_parameters

LAYERS = (_ConvNd, nn.Linear)
"""Classes of the layers whose weights are prunable."""

_SAMPLES = 8  # of random bits: windows of an average pooling that agree in all of them are rare
# Nodes between a layer's output and its weight when the layer uses its weight as it is.
_PLAIN = ("Convolution", "Addmm", "Mm", "Linear", "T", "View", "UnsafeView")


def operation(node: Node) -> str:
    """Name of the operation of a node, without the suffix of its version."""
    return node.name().split("Backward")[0]


@final
class _Emit(torch.autograd.Function):
    """Replaces values and keeps the graph, which is walked but never run backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor) -> Tensor:
        return values.clone()


@final
class SliceLog:
    """What hooks note about each module while a traced model runs one time slice.

    Neurons emit random bits, all ones in the first sample, so that whether an operand is binary
    follows from the operations between and from no batch. The nodes are held here: the identity of
    a node that is let go can be taken by another.

    Attributes:
        neurons: names of the neurons.
        before: node of the module's input, by name; None for an input without one.
        after: node of its output.
        shapes: its input's and its output's shape, without the batch.
        binary: whether its input was 0 or 1 throughout.

    Args:
        parts: the modules to note, by name.
        neurons: those of them that are neurons.
    """

    def __init__(self, parts: Mapping[str, nn.Module], neurons: frozenset[str]) -> None:
        self.neurons = neurons
        self.before: dict[str, Node | None] = {}
        self.after: dict[str, Node | None] = {}
        self.shapes: dict[str, tuple[torch.Size, torch.Size]] = {}
        self.binary: dict[str, bool] = {}
        self._parts = parts
        self._calls: Counter[str] = Counter()
        self._recurrent = dict.fromkeys(parts, False)
        self._generator = torch.Generator().manual_seed(0)

    def run(self, model: nn.Module, example: Tensor) -> None:
        """Run the model, being traced, once.

        Raises:
            ModelError: the model cannot run on one slice.
        """
        x = like_parameters(model, example.detach()[:1])
        x = x.expand(_SAMPLES, *example.shape[1:]).clone().requires_grad_()
        with ExitStack() as stack:
            stack.enter_context(exact(x.device))  # casts would part a weight from its layer
            stack.enter_context(_all_trainable(model))
            for name, module in self._parts.items():
                hook = functools.partial(self._note, name)
                handle = module.register_forward_hook(hook, with_kwargs=True)
                stack.callback(handle.remove)
            try:
                model(x.clone())  # not the leaf: a model may change its input in place
            except Exception as error:
                raise ModelError(
                    f"expected {type(model).__name__} to run on one time slice of shape "
                    f"{tuple(example.shape)} with its modules in single-step mode, got "
                    f"{type(error).__name__}: {error}; give an example of one slice, and loop "
                    "over time outside of the model or by the step mode of its layers"
                ) from error

    def _note(self, name: str, _: nn.Module, args: Any, kwargs: Any, output: Tensor) -> Tensor:
        x: Tensor = args[0] if args else next(iter(kwargs.values()))
        self._calls[name] += 1
        if self._calls[name] > 1:  # a later step of a model that loops over time itself
            self._recurrent[name] |= self._reaches_first_step(x.grad_fn)
            return output
        self.before[name] = x.grad_fn
        self.shapes[name] = x.shape[1:], output.shape[1:]
        self.binary[name] = bool(((x == 0) | (x == 1)).all())
        if name in self.neurons:
            bits = torch.randint(0, 2, output.shape, generator=self._generator)
            bits[0] = 1  # so that a sum of two spikes shows
            output = cast(Any, _Emit).apply(output, bits.to(output))
        self.after[name] = output.grad_fn
        return output

    def _reaches_first_step(self, start: Node | None) -> bool:
        """Whether what a later step reads depends on a layer, norm or neuron of the first."""
        first, seen, nodes = set(self.after.values()), set[Node](), [start]
        while nodes:
            node = nodes.pop()
            if node is None or node in seen:
                continue
            if node in first:
                return True
            seen.add(node)
            nodes.extend(n for n, _ in node.next_functions)
        return False

    def check(self) -> None:
        """Refuse what was not called exactly once, or does not compute with its own weight.

        In a model that loops over time itself all are called once per step; the first one counts.

        Raises:
            ModelError: naming the module.
        """
        steps = max(1, min(self._calls[name] for name in self._parts))
        for name, module in self._parts.items():
            kind = f"{name!r} ({type(module).__name__})"
            if self._calls[name] != steps:
                raise ModelError(
                    f"expected every layer, norm and neuron to be called exactly once per time "
                    f"slice, got {self._calls[name]} calls of {kind}; remove what is not used, and "
                    "give each use a module of its own"
                )
            if self._recurrent[name]:
                raise ModelError(
                    "expected the steps of a model that loops over time to be joined by the "
                    f"neurons' state alone, got a connection from an earlier step to {kind}; "
                    "recurrent connections are not supported"
                )
            if self.after[name] is None:
                raise ModelError(
                    f"expected {kind} to be part of the autograd graph, got an output without "
                    "one; do not detach or disable gradients inside the model's forward"
                )
            if isinstance(module, LAYERS) and not self._plain(name, module.weight):
                raise ModelError(
                    f"expected {kind} to use its parameter 'weight' as it is, got a weight that is "
                    "computed on the fly, where a pruned weight would not stay zero; replace it "
                    "by a plain layer (weight standardisation), or make the parametrisation or "
                    "mask permanent (torch.nn.utils.parametrize, torch.nn.utils.prune)"
                )

    def _plain(self, name: str, weight: Tensor) -> bool:
        nodes = [self.after[name]]
        while nodes:
            node = nodes.pop()
            if node is None or node is self.before[name]:
                continue
            if getattr(node, "variable", None) is weight:
                return True
            if operation(node) in _PLAIN:
                nodes.extend(n for n, _ in node.next_functions)
        return False


@contextmanager
def _all_trainable(model: nn.Module) -> Iterator[None]:
    """Give every parameter an edge in the graph while active, frozen ones too."""
    frozen = [p for p in model.parameters() if not p.requires_grad and p.is_floating_point()]
    try:
        for parameter in frozen:
            parameter.requires_grad_()
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
