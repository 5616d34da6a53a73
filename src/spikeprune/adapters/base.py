"""Protocols between this package and spiking frameworks; all but `Adapter` are optional.

To add a framework, write `adapters/<framework>/adapter.py` with an instance named `ADAPTER`, a row
in `_BUILT_IN` of `adapters.registry`, and one in `CASES` of `tests/adapters/test_conformance.py`.
Other packages call `registry.register`. For a single neuron class, `SelfObserving` suffices.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from spikeprune.neurons.sinks import Sink
from spikeprune.science.low_pass import LowPass

Inference = Callable[[Tensor, Tensor | float, Any], tuple[Tensor, Tensor] | None]
"""Runs a neuron without gradients: input `[T, B, *]`, V_0, `neurons.lif.Dynamics` -> spikes
`[T, B, *]` and V_T, or None if it cannot run this neuron."""


class Refusal(Exception):
    """The reason, in words, why an adapter leaves a module as it is."""


@runtime_checkable
class SelfObserving(Protocol):
    """A neuron that reports its own potentials, for example from inside a fused kernel."""

    def observe_potential(self, sink: Sink) -> AbstractContextManager[None]:
        """While active, pass every time step of every forward to `sink` once, in order."""


class Adapter(Protocol):
    """Access to the neurons of one spiking framework.

    Modules change only inside of context managers, which restore them, also after an exception.
    """

    framework: str
    """Import name of the framework, e.g. 'spikingjelly'."""

    def matches(self, module: nn.Module) -> bool:
        """Whether the module is a spiking neuron whose potential can be observed."""

    def opaque(self, module: nn.Module) -> bool:
        """Whether the module is a spiking or stateful neuron that cannot be observed."""

    def observe(
        self, module: nn.Module, sink: Sink, on_reset: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """Record the neuron while active: potentials to `sink`, resets to `on_reset`.

        Recording changes no bit of spikes and gradients. A neuron without state has no reset and
        never calls `on_reset`.

        Raises:
            ObservationError: (while active) a forward did not report each of its time steps
                exactly once with the shape of its input.
        """

    def surrogate(self, module: nn.Module) -> Callable[[Tensor], Tensor]:
        """Return u -> spikes (u >= 0) with the surrogate gradient."""

    def primitive(self, module: nn.Module) -> Callable[[Tensor], Tensor]:
        """Return u -> smooth forward value of the surrogate.

        Raises:
            ModelError: the surrogate has no smooth forward value.
        """

    def threshold(self, module: nn.Module) -> float:
        """Return V_th.

        Raises:
            ModelError: the threshold is not one fixed number.
        """

    def channel_state(self, module: nn.Module) -> tuple[str, ...]:
        """Return the names of the neuron's parameters and buffers with one entry per channel.

        Each named tensor has exactly one axis longer than 1, the channel axis.

        Raises:
            ModelError: a tensor has several axes longer than 1.
        """

    def tracing(self, model: nn.Module) -> AbstractContextManager[None]:
        """Turn the model into a feed-forward net of one slice, with gradients, while active.

        Neurons pass their input through, each with an autograd node of its own. Modules are in
        eval and single-step mode with fresh state.

        Raises:
            ModelError: the model has recurrent connections, which one slice does not show.
        """

    def reset(self, model: nn.Module) -> None:
        """Reset the state of every stateful module."""

    def simulate(self, module: nn.Module, drive: Tensor, time_steps: int) -> Tensor:
        """Return the spikes `[T, C]` under a constant `drive` `[C]`, from rest, on a copy."""


@runtime_checkable
class ClosedForms(Protocol):
    """An adapter that knows surrogate derivatives in closed form."""

    def derivative(self, module: nn.Module) -> Callable[[Tensor], Tensor] | None:
        """Return u -> surrogate derivative, a new tensor, or None if no closed form is known."""


@runtime_checkable
class Filtering(Protocol):
    """An adapter that knows how fast its neurons leak."""

    def low_pass(self, module: nn.Module) -> LowPass | None:
        """Return the filter of the input that the potential is while it does not fire, as of now.

        None: the neuron is not known to be such a filter.
        """


@runtime_checkable
class Fusing(Protocol):
    """An adapter that can replace a neuron's forward and backward by faster ones."""

    def fuse(self, module: nn.Module, *, compiled: bool = False) -> None:
        """Fuse one neuron, or raise a `Refusal`; kernels compile at the first forward."""

    def unfuse(self, module: nn.Module) -> bool:
        """Undo `fuse`; return whether the neuron was fused."""


@runtime_checkable
class Inferring(Protocol):
    """An adapter whose fused neurons can run a given body."""

    def infer_by(self, module: nn.Module, body: Inference) -> bool:
        """Let one fused neuron run `body` without gradients; return whether it is fused."""


@runtime_checkable
class Hoisted(Protocol):
    """A layer that computes equal time steps only once."""

    def hoists(self, x: Tensor) -> bool:
        """Return whether the layer in its current state computes only one step of `x`."""


@runtime_checkable
class Hoisting(Protocol):
    """An adapter that can hoist layers of its framework."""

    def hoist(self, module: nn.Module) -> bool:
        """Hoist one layer; return whether it is hoisted now."""

    def unhoist(self, module: nn.Module) -> bool:
        """Undo `hoist`; return whether the layer was hoisted."""
