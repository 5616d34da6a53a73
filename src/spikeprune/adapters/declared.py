"""Neurons that say themselves what their potential is: by a method, or by a declaration."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from spikeprune.adapters.base import SelfObserving
from spikeprune.adapters.toolkit import Watching
from spikeprune.errors import ConfigError, ModelError, ObservationError
from spikeprune.neurons.sinks import Sink


@dataclass(frozen=True)
class Declaration:
    """What `spikes` was told about a class of neurons."""

    potential: Callable[[Any], Tensor] | None
    threshold: Callable[[Any], Tensor | float]
    time_dim: int | None


_DECLARED: dict[type[nn.Module], Declaration] = {}


def spikes(
    kind: type[nn.Module],
    *,
    potential: str | Callable[[Any], Tensor] | None = None,
    threshold: str | float | Callable[[Any], Tensor | float] = 1.0,
    time_dim: int | None = None,
) -> None:
    """Declare that modules of a class are spiking neurons; their (first) output is the spikes.

    For neurons without a spike function that can be found, an autograd function.

    Args:
        kind: the class; classes derived from it count, too.
        potential: after a forward, the membrane potential before reset: the name of an attribute,
            or a function of the module. None: it is not known; layers around the neuron are pruned
            by saliency, and what reads its output counts as reading spikes.
        threshold: a number, the name of an attribute, or a function of the module.
        time_dim: axis of time of the potential, 0 or 1; None: one step a forward.

    Raises:
        ConfigError: no class of modules, or another time axis.
    """
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise ConfigError(f"expected a class of modules that spike, got {kind!r}")
    if time_dim not in (None, 0, 1):
        raise ConfigError(f"expected time_dim to be 0, 1 or None, got {time_dim!r}")
    _DECLARED[kind] = Declaration(
        potential=None if potential is None else _reader(potential),
        threshold=_reader(threshold),
        time_dim=time_dim,
    )


def _reader(value: Any) -> Callable[[Any], Any]:
    if isinstance(value, str):
        return lambda module: getattr(module, value)
    return cast(Callable[[Any], Any], value) if callable(value) else lambda module: value


def _declaration(module: nn.Module) -> Declaration | None:
    return next((_DECLARED[k] for k in type(module).__mro__ if k in _DECLARED), None)


@final
class Declared:
    """Adapter of neurons of no framework, see `SelfObserving` and `spikes`."""

    framework = "torch"

    def matches(self, module: nn.Module) -> bool:
        """Whether it has a method `observe_potential`, or its class is declared."""
        # isinstance(module, SelfObserving) would take many times as long, for every module.
        itself = callable(getattr(module, "observe_potential", None))
        return itself or _declaration(module) is not None

    def opaque(self, module: nn.Module) -> bool:
        """Whether its potential is not known."""
        found = _declaration(module)
        return found is not None and found.potential is None

    @contextmanager
    def observe(
        self, module: nn.Module, sink: Sink, on_reset: Callable[[], None]
    ) -> Iterator[None]:
        """Record the neuron while active; see `Adapter.observe`."""
        found = _declaration(module)
        with ExitStack() as stack:
            if found is None:
                stack.enter_context(cast(SelfObserving, module).observe_potential(sink))
            else:
                hook = Watching(_reporting(found, sink))
                stack.callback(module.register_forward_hook(hook).remove)
            yield

    def surrogate(self, module: nn.Module) -> Callable[[Tensor], Tensor]:
        """Return the module's `surrogate_function`."""
        found = getattr(module, "surrogate_function", None)
        if not callable(found):
            raise ModelError(
                f"expected {type(module).__name__} to have a surrogate_function, whose derivative "
                "scores its potentials, got none; name a curve: "
                "criticality=CriticalityOptions(curve='atan')"
            )
        return cast(Callable[[Tensor], Tensor], found)

    def primitive(self, module: nn.Module) -> Callable[[Tensor], Tensor]:
        """Refuse: no smooth forward value is known."""
        raise ModelError(
            f"expected a surrogate with a smooth forward value, {type(module).__name__} has none "
            "that is known; score with value='derivative', or name a curve"
        )

    def threshold(self, module: nn.Module) -> float:
        """Return the declared threshold."""
        found = _declaration(module)
        value = None if found is None else found.threshold(module)
        if not isinstance(value, float | int):
            raise ModelError(
                f"expected a threshold that is one fixed number, got {type(module).__name__} "
                f"with {value!r}; its potentials are observed relative to threshold all the same"
            )
        return float(value)

    def channel_state(self, module: nn.Module) -> tuple[str, ...]:
        """Refuse to cut a neuron of unknown make."""
        raise ModelError(
            f"expected neurons whose state can be cut, got {type(module).__name__}, which belongs "
            "to no known framework; prune weights"
        )

    def tracing(self, model: nn.Module) -> AbstractContextManager[None]:
        """Do nothing: such neurons run as they are."""
        return nullcontext()

    def reset(self, model: nn.Module) -> None:
        """Do nothing: `adapters.rest.reset` calls the modules' own methods."""

    def simulate(self, module: nn.Module, drive: Tensor, time_steps: int) -> Tensor:
        """Refuse, as `channel_state` does."""
        self.channel_state(module)
        raise AssertionError


def _reporting(found: Declaration, sink: Sink) -> Callable[..., None]:
    def report(module: nn.Module, args: Any, output: Any) -> None:
        if found.potential is None:
            raise ObservationError(
                f"the potential of {type(module).__name__} is not known: declare it, as "
                "spikes(..., potential='name of an attribute')"
            )
        with torch.no_grad():
            x = found.potential(module).detach() - found.threshold(module)
            if found.time_dim is None:
                x = x[None]
            sink(x.transpose(0, 1) if found.time_dim == 1 else x)

    return report


DECLARED = Declared()
