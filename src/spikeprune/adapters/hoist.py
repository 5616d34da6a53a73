"""What is the same at every time step is computed once: `hoist`, for layers ahead of the neurons.

A static image that is expanded over time has stride 0 there, which proves that all steps are
equal. A hoisted layer that is given such an input computes one step and expands the result, so that
a chain of layers up to the first neuron (or whatever tells the steps apart) runs once. The name is
a compiler's: what does not change in a loop is hoisted out of it.
"""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from spikeprune.adapters.base import adapters


@runtime_checkable
class Hoisted(Protocol):
    """A layer that computes equal time steps once."""

    def hoists(self, x: Tensor) -> bool:
        """Return whether the layer, as it is now, computes one step of the input alone."""
        ...


@runtime_checkable
class Hoisting(Protocol):
    """An adapter that can hoist layers of its framework."""

    def hoist(self, module: nn.Module) -> bool:
        """Hoist one layer; return whether it is hoisted now."""
        ...

    def unhoist(self, module: nn.Module) -> bool:
        """Undo `hoist`; return whether the layer was hoisted."""
        ...


def hoist(model: nn.Module) -> tuple[str, ...]:
    """Let layers in multi-step mode compute equal time steps once; return their names.

    It takes effect where an input is expanded over time (`x.expand(T, *x.shape)`: stride 0); else,
    in single-step mode, and while tracing or compiling, the layers compute as ever. Outputs,
    gradients and the statistics of BatchNorm are those of T equal steps, up to rounding: the
    running variance of T x n samples is n T (n - 1) / (n (n T - 1)) that of n. A hoisted layer
    stays the same object, an instance of its class, with its parameters, hooks and state_dict.

    Outputs of hoisted layers are expanded over time, too: a model that changes them in place, or
    calls `view` across their time axis, raises an error of PyTorch.

    Args:
        model: any; layers without a hoisted form stay as they are.
    """
    hoisting = [adapter for adapter in adapters() if isinstance(adapter, Hoisting)]
    return tuple(
        name
        for name, module in model.named_modules()
        if any(adapter.hoist(module) for adapter in hoisting)
    )


def unhoist(model: nn.Module) -> tuple[str, ...]:
    """Undo `hoist`; return the names of the layers that were hoisted."""
    hoisting = [adapter for adapter in adapters() if isinstance(adapter, Hoisting)]
    return tuple(
        name
        for name, module in model.named_modules()
        if any(adapter.unhoist(module) for adapter in hoisting)
    )


def computed(module: nn.Module, x: Tensor) -> Tensor:
    """Return the part of its input `[T, B, *]` that a layer computes on: all, or one step."""
    return x[:1] if isinstance(module, Hoisted) and module.hoists(x) else x
