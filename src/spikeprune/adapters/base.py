"""The seam to spiking frameworks: all that the engine needs to know about a spiking neuron.

An adapter speaks for one framework. To add one: write `adapters/<framework>.py` with an instance
named `ADAPTER`, and add its row to `_BUILT_IN`; the conformance tests run over the registry. A
package outside this one calls `register` with its adapter instead.

A neuron class may also serve the seam itself by a method `observe_potential`, see `SelfObserving`;
that is how a neuron whose whole step is one fused kernel is observed.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from spikeprune.errors import ModelError

Sink = Callable[[Tensor], None]
"""Takes potentials relative to threshold, `x = H - V_th`, charged and before reset, detached, as
`[T', B, C, *space]`; T' consecutive steps per call. A neuron fires where `x >= 0`."""


class Fold(NamedTuple):
    """What a sink takes in place of all potentials of a forward: sums over its time steps.

    Attributes:
        curve: g, of elementwise operations that a compiler can trace; the same object for the same
            function, since a kernel is made for each.
        time: 'mean' for the sum of g(x) over the steps, 'max' for its maximum.
        take: takes that, `[B, C, *space]`, and how often each neuron fired, likewise.
    """

    curve: Callable[[Tensor], Tensor]
    time: str
    take: Callable[[Tensor, Tensor], None]


@runtime_checkable
class FoldingSink(Protocol):
    """A sink that a fused neuron may tell of folded potentials, which it makes in passing."""

    def __call__(self, potentials: Tensor) -> None:
        """Take potentials, as any sink does."""
        ...

    def fold(self, steps: int) -> Fold | None:
        """Return what to fold a forward of so many steps into; None: it wants the potentials."""
        ...


@runtime_checkable
class SelfObserving(Protocol):
    """A neuron that hands out its potentials itself, for example from inside a fused kernel."""

    def observe_potential(self, sink: Sink) -> AbstractContextManager[None]:
        """While active, give every step of every forward to `sink` once, in order of time."""
        ...


class Adapter(Protocol):
    """What one spiking framework must answer about its neurons.

    Everything that changes a module does so in a context manager, and leaves the module as it
    was, also after an exception.
    """

    framework: str
    """Name under which the framework is imported, e.g. 'spikingjelly'."""

    def matches(self, module: nn.Module) -> bool:
        """Whether the module is a spiking neuron whose potential can be observed."""
        ...

    def opaque(self, module: nn.Module) -> bool:
        """Whether the module is a spiking or stateful neuron that cannot be observed."""
        ...

    def observe(
        self, module: nn.Module, sink: Sink, on_reset: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """Record the neuron while active: potentials to `sink`, resets to `on_reset`.

        Spikes and gradients are what they would be without, bit for bit. A neuron that has no
        state, and therefore no reset, never calls `on_reset`.

        Raises:
            ObservationError: (while active) a forward that did not give each of its time steps
                exactly once with the shape of its input.
        """
        ...

    def surrogate(self, module: nn.Module) -> Callable[[Tensor], Tensor]:
        """Return u -> spikes (u >= 0) with the neuron's surrogate gradient."""
        ...

    def primitive(self, module: nn.Module) -> Callable[[Tensor], Tensor]:
        """Return u -> smooth forward value of the surrogate.

        Raises:
            ModelError: a surrogate that has no smooth forward value.
        """
        ...

    def threshold(self, module: nn.Module) -> float:
        """Return V_th.

        Raises:
            ModelError: a threshold that is not one fixed number.
        """
        ...

    def channel_state(self, module: nn.Module) -> tuple[str, ...]:
        """Return the names of parameters and buffers of the neuron with one entry per channel.

        Each named tensor has exactly one axis longer than 1, the channel axis.

        Raises:
            ModelError: state per channel that cannot be described so.
        """
        ...

    def tracing(self, model: nn.Module) -> AbstractContextManager[None]:
        """Make the model a plain feed-forward net of one time slice while active.

        Neurons pass their input through, each with an autograd node of its own;
        modules are in eval and in single-step mode; gradients are enabled; state is fresh.

        Raises:
            ModelError: recurrent connections, which one slice does not show.
        """
        ...

    def reset(self, model: nn.Module) -> None:
        """Put the state of every stateful module back to its start."""
        ...

    def simulate(self, module: nn.Module, drive: Tensor, time_steps: int) -> Tensor:
        """Return the spikes `[T, C]` under a constant `drive` `[C]`; the module stays untouched."""
        ...


@runtime_checkable
class ClosedForms(Protocol):
    """An adapter that knows derivatives of surrogates in closed form."""

    def derivative(self, module: nn.Module) -> Callable[[Tensor], Tensor] | None:
        """Return u -> derivative of the surrogate as it is now, a new tensor; None: not known."""
        ...


_BUILT_IN: Mapping[str, str] = MappingProxyType(
    {"spikingjelly": "spikeprune.adapters.spikingjelly.adapter"}  # framework -> module with ADAPTER
)
_registered: dict[str, Adapter] = {}


def register(adapter: Adapter) -> None:
    """Make an adapter known; one of the same framework name is replaced."""
    _registered[adapter.framework] = adapter


def adapters() -> tuple[Adapter, ...]:
    """Return the adapters of all frameworks that this process has imported.

    No model can hold a module of a framework that is not in `sys.modules`, so the others are not
    even loaded.
    """
    for framework, path in _BUILT_IN.items():
        if framework in sys.modules and framework not in _registered:
            register(import_module(path).ADAPTER)
    return tuple(a for name, a in _registered.items() if name in sys.modules)


def adapter_for(model: nn.Module) -> Adapter:
    """Return the adapter of the framework that the model's spiking neurons come from.

    Raises:
        ModelError: no spiking neuron, neurons that cannot be observed (named), or neurons of
            more than one framework.
    """
    adapter, _ = _scan(model)
    return adapter


def spiking_neurons(model: nn.Module) -> dict[str, nn.Module]:
    """Return the spiking neurons of a model by name, each module once, in the model's order.

    Raises:
        ModelError: as `adapter_for`.
    """
    _, neurons = _scan(model)
    return neurons


def _scan(model: nn.Module) -> tuple[Adapter, dict[str, nn.Module]]:
    owners: dict[str, Adapter] = {}
    neurons: dict[str, nn.Module] = {}
    opaque: dict[str, nn.Module] = {}
    known = adapters()
    for name, module in model.named_modules():
        if any(name.startswith(f"{outer}.") for outer in (*neurons, *opaque)):
            continue
        for adapter in known:
            if adapter.matches(module):
                neurons[name] = module
                owners[adapter.framework] = adapter
            elif adapter.opaque(module):
                opaque[name] = module
    if opaque:
        listed = ", ".join(f"{name!r} ({type(m).__name__})" for name, m in opaque.items())
        raise ModelError(
            f"expected neurons whose membrane potential can be observed, got {listed}; "
            "use a neuron with a surrogate function and binary spikes, or give its class a method "
            "`observe_potential`"
        )
    if len(owners) != 1:
        frameworks = ", ".join(sorted({*_BUILT_IN, *_registered}))
        found = f"neurons of {' and '.join(sorted(owners))}" if owners else "none"
        raise ModelError(
            f"expected spiking neurons of one framework ({frameworks}) in "
            f"{type(model).__name__}, got {found}; register an adapter for another framework"
        )
    return next(iter(owners.values())), neurons
