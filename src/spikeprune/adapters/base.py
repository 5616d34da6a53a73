"""The seam to spiking frameworks: all that the engine needs to know about a spiking neuron.

An adapter speaks for one framework. To add one: write `adapters/<framework>.py` with an instance
named `ADAPTER`, and add its row to `_BUILT_IN`; the conformance tests run over the registry. A
package outside this one calls `register` with its adapter instead.

A neuron class may also serve the seam itself by a method `observe_potential`, see `SelfObserving`;
that is how a neuron whose whole step is one fused kernel is observed.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from spikeprune.neurons.sinks import Sink

Inference = Callable[[Tensor, Tensor | float, Any], tuple[Tensor, Tensor] | None]
"""Runs a neuron without gradients: input `[T, B, *]`, V_0, `neurons.lif.Dynamics` -> spikes
`[T, B, *]` and V_T, or None for what it does not know."""


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


@runtime_checkable
class Fusing(Protocol):
    """An adapter that can give neurons of its framework a faster forward and backward."""

    def fuse(self, module: nn.Module, *, compiled: bool = False) -> str | None:
        """Fuse one neuron; return None, or the reason why it stays as it is.

        `compiled` asks for kernels that are compiled at the first forward, where there are such.
        """
        ...

    def unfuse(self, module: nn.Module) -> bool:
        """Undo `fuse`; return whether the neuron was fused."""
        ...


@runtime_checkable
class Inferring(Protocol):
    """An adapter whose fused neurons can run by a body that is given to them."""

    def infer_by(self, module: nn.Module, body: Inference) -> bool:
        """Let one fused neuron run by `body` where no gradient is asked for; whether it does."""
        ...


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
