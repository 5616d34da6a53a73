"""Record of one time slice through a model: the autograd nodes at every layer and neuron."""

import functools
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.modules.conv import _ConvNd

from spikeprune.errors import ModelError
from spikeprune.execution.autograd_graph import ancestors
from spikeprune.execution.precision import exact, like_parameters

LAYERS = (_ConvNd, nn.Linear)
"""Classes of the layers whose weights are prunable."""

_SAMPLES = 8  # of random bits: a window of an average pooling rarely has equal bits in all of them
# Operations between a layer's output and its weight if the layer uses its weight as it is.
_PLAIN = ("Convolution", "Addmm", "Mm", "Linear", "T", "View", "UnsafeView")


def operation(node: Node) -> str:
    """Return the name of a node's operation, without the suffix of its version."""
    return node.name().split("Backward")[0]


@final
class _Emit(torch.autograd.Function):
    """Replaces values and keeps the graph, which is walked but never run backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor) -> Tensor:
        return values.clone()


@final
class SliceLog:
    """Notes that hooks take about each module while a traced model runs one time slice.

    Neurons emit random bits, all ones in the first sample, so that whether an operand is binary
    depends only on the operations in between: additive joins and average pooling leave {0, 1}; max
    pooling, reshaping, AND and IAND do not. The log keeps the nodes alive, because another node
    could get the identity of a deleted one.
    """

    def __init__(self, parts: Mapping[str, nn.Module], neurons: frozenset[str]) -> None:
        self.neurons = neurons
        self.before: dict[str, Node | None] = {}  # nodes of the modules' inputs
        self.after: dict[str, Node | None] = {}  # nodes of their outputs
        self.shapes: dict[str, tuple[torch.Size, torch.Size]] = {}  # without the batch
        self.binary: dict[str, bool] = {}  # whether all entries of the input were 0 or 1
        self._parts = parts
        self._calls: Counter[str] = Counter()
        self._recurrent = dict.fromkeys(parts, False)
        self._generator = torch.Generator().manual_seed(0)

    def run(self, model: nn.Module, example: Tensor) -> None:
        """Run the model, which an adapter is tracing, once."""
        x = like_parameters(model, example.detach()[:1])
        x = x.expand(_SAMPLES, *example.shape[1:]).clone().requires_grad_()
        with ExitStack() as stack:
            stack.enter_context(exact(x.device))  # casts would separate a weight from its layer
            for parameter in model.parameters():
                if not parameter.requires_grad and parameter.is_floating_point():
                    stack.callback(parameter.requires_grad_, False)
                    parameter.requires_grad_()  # frozen ones need an edge in the graph, too
            for name, module in self._parts.items():
                hook = functools.partial(self._note, name)
                stack.enter_context(module.register_forward_hook(hook, with_kwargs=True))
            try:
                model(x.clone())  # not the leaf, because a model may change its input in place
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
            first = set(self.after.values())
            reached = ancestors(x.grad_fn, first.__contains__)
            self._recurrent[name] |= any(node in first for node in reached)
            return output
        self.before[name] = x.grad_fn
        self.shapes[name] = x.shape[1:], output.shape[1:]
        self.binary[name] = bool(((x == 0) | (x == 1)).all())
        if name in self.neurons:
            bits = torch.randint(0, 2, output.shape, generator=self._generator)
            bits[0] = 1  # so that a sum of two spikes is seen
            output = cast(Any, _Emit).apply(output, bits.to(output))
        self.after[name] = output.grad_fn
        return output

    def check(self) -> None:
        """Refuse modules that were not called exactly once or do not use their weight as it is.

        A model that loops over time itself calls all modules once per step; the first step counts.
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
        """Whether only operations of `_PLAIN` lie between a layer's output and its weight."""
        before = self.before[name]
        nodes = ancestors(self.after[name], lambda n: n is before or operation(n) not in _PLAIN)
        return any(n is not before and getattr(n, "variable", None) is weight for n in nodes)
