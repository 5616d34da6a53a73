"""Parts for writing adapters: checked recording, hooks, an identity to trace, shadowing."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from spikeprune.adapters.base import SelfObserving
from spikeprune.errors import ObservationError
from spikeprune.neurons.sinks import FoldingSink, Sink, TimeFold


@final
class Recorder:
    """Checks that a neuron's forward reports each time step once, in the shape of its input."""

    def __init__(self, kind: str, sink: Sink) -> None:
        self._kind, self._sink = kind, sink  # class of the neuron, receiver of [T', B, C, *space]
        self._shape: tuple[int, ...] = ()  # [T, B, C, *space] of the current forward
        self._seen = 0

    def begin(self, shape: tuple[int, ...]) -> None:
        """Start a forward whose input is `[T, B, C, *space]`."""
        self._shape, self._seen = tuple(shape), 0

    def __call__(self, u: Tensor) -> None:
        """Reshape the potentials of one or several steps and pass them on.

        Refuse potentials outside of a forward, or not one for each of the neuron's inputs.
        """
        steps, slab = self._shape[:1], self._shape[1:]
        flat = (math.prod(slab),)
        shaped = u.shape == slab or u.shape[1:] == slab
        # Neurons without recurrence flatten all axes but time, and their queues flatten all axes.
        flattened = u.shape == flat or u.shape == steps + flat
        if len(slab) < 2 or not (shaped or flattened):
            raise ObservationError(
                f"expected {self._kind} to compare potentials of shape {slab} (batch, channels, "
                f"space) with its threshold in every step, got {tuple(u.shape)}; such a "
                "neuron can only be observed by a method `observe_potential` of its class"
            )
        x = u.detach().reshape(-1, *slab)
        self._seen += len(x)
        self._sink(x)

    def fold(self, steps: int) -> TimeFold | None:
        """Return the sink's fold for a forward of `steps` steps, checked like single steps."""
        fold = self._sink.fold(steps) if isinstance(self._sink, FoldingSink) else None
        if fold is None or steps != self._shape[0]:
            return None
        slab = self._shape[1:]

        def take(total: Tensor, fired: Tensor) -> None:
            self._seen += steps
            fold.take(total.reshape(slab), fired.reshape(slab))

        return fold._replace(take=take)

    def end(self) -> None:
        """End the forward; refuse if some steps were not recorded, or more than once."""
        steps = self._shape[0]
        self._shape = ()
        if self._seen != steps:
            raise ObservationError(
                f"expected {self._kind} to compare its potential with its threshold once in each "
                f"of {steps} time steps, got {self._seen} times; such a neuron can only be "
                "observed by a method `observe_potential` of its class"
            )


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Do nothing."""


@final
class Watching:
    """A hook that is there for a while: a copy or a file of its module gets one that does nothing.

    So a net can be copied and saved, as by `torch.save(model)`, also while it is observed.
    """

    def __init__(self, action: Callable[..., Any] = _nothing) -> None:
        self._action = action

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the action."""
        return self._action(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Watching":
        return Watching()

    def __reduce__(self) -> tuple[type["Watching"], tuple[()]]:
        return Watching, ()


@contextmanager
def self_recording(
    module: nn.Module, sink: Sink, shape: Callable[[Tensor], tuple[int, ...]]
) -> Iterator[None]:
    """Record a neuron by its method while active; `shape` maps an input to `[T, B, C, *space]`."""
    recorder = Recorder(type(module).__name__, sink)

    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        recorder.begin(shape(first_input(args, kwargs)))

    def end(*_: Any) -> None:
        recorder.end()

    with (
        before_forward(module, begin),
        module.register_forward_hook(Watching(end)),
        cast(SelfObserving, module).observe_potential(recorder),
    ):
        yield


@contextmanager
def before_forward(
    module: nn.Module, action: Callable[[tuple[Any, ...], dict[str, Any]], None]
) -> Iterator[None]:
    """Call `action(args, kwargs)` before each forward of a module while active."""

    def hook(called: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        action(args, kwargs)

    with module.register_forward_pre_hook(Watching(hook), with_kwargs=True):
        yield


def first_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Return the first tensor of a call, given by position or by name."""
    return next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))


@final
class PassThrough(torch.autograd.Function):
    """Identity with an autograd node of its own; it copies, because models change it in place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return a copy of `x`."""
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Return the gradient unchanged."""
        return gradients[0]


@final
class FollowedBy:
    """A neuron's method followed by a callback; copies and files get the method alone."""

    def __init__(self, module: nn.Module, name: str, then: Callable[[], None]) -> None:
        self._module, self._name, self._then = module, name, then
        self._own: Callable[[], None] = getattr(module, name)

    def __call__(self) -> None:
        """Run the method, then the callback."""
        self._own()
        self._then()

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[[], None]:
        """Return the method of the copied neuron."""
        copied = memo[id(self._module)]
        return cast(Callable[[], None], getattr(type(copied), self._name).__get__(copied))

    def __reduce__(self) -> tuple[Any, ...]:
        """Give a file the method of the neuron that is saved."""
        return getattr, (self._module, self._name)


@contextmanager
def shadowed(module: nn.Module, name: str, value: object) -> Iterator[None]:
    """Set an instance attribute while active, bypassing the registration of nn.Module."""
    own = module.__dict__
    had, before = name in own, own.get(name)
    own[name] = value
    try:
        yield
    finally:
        if had:
            own[name] = before
        else:
            del own[name]
