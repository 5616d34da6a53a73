"""What adapters are built from: a checked recorder, an identity to trace, a shadowed attribute."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from spikeprune.adapters.base import SelfObserving
from spikeprune.errors import ObservationError
from spikeprune.neurons.sinks import FoldingSink, Sink, TimeFold


@final
class Recorder:
    """Checks that a forward of a neuron gives each time step once, in the shape of its input.

    Args:
        kind: class of the neuron, for messages.
        sink: takes what passed the check, as `[T', B, C, *space]`.
    """

    def __init__(self, kind: str, sink: Sink) -> None:
        self._kind, self._sink = kind, sink
        self._shape: tuple[int, ...] = ()  # [T, B, C, *space] of the forward under way
        self._seen = 0

    def begin(self, shape: tuple[int, ...]) -> None:
        """Start a forward whose input is `[T, B, C, *space]`."""
        self._shape, self._seen = tuple(shape), 0

    def __call__(self, u: Tensor) -> None:
        """Bring the potentials of one step, or of several, into shape and pass them on.

        Raises:
            ObservationError: potentials that do not belong one to one to the neuron's inputs, or
                outside of a forward.
        """
        steps, *slab = self._shape or (0,)
        flat = torch.Size(slab).numel()
        # Neurons without recurrence flatten all but time, and their queues flatten everything.
        known = u.shape in ((*slab,), (flat,), (steps, flat)) or u.shape[1:] == (*slab,)
        if len(slab) < 2 or not known:
            raise ObservationError(
                f"expected {self._kind} to compare potentials of shape {tuple(slab)} (batch, "
                f"channels, space) with its threshold in every step, got {tuple(u.shape)}; such a "
                "neuron can only be observed by a method `observe_potential` of its class"
            )
        x = u.detach().reshape(-1, *slab)
        self._seen += len(x)
        self._sink(x)

    def fold(self, steps: int) -> TimeFold | None:
        """Pass on what the sink would have a forward of so many steps folded into."""
        fold = self._sink.fold(steps) if isinstance(self._sink, FoldingSink) else None
        if fold is None or steps != self._shape[0]:
            return None
        slab = self._shape[1:]

        def take(total: Tensor, fired: Tensor) -> None:
            self._seen += steps
            fold.take(total.reshape(slab), fired.reshape(slab))

        return fold._replace(take=take)

    def end(self) -> None:
        """Close the forward.

        Raises:
            ObservationError: steps that were not recorded, or recorded more than once.
        """
        steps = self._shape[0]
        self._shape = ()
        if self._seen != steps:
            raise ObservationError(
                f"expected {self._kind} to compare its potential with its threshold once in each "
                f"of {steps} time steps, got {self._seen} times; such a neuron can only be "
                "observed by a method `observe_potential` of its class"
            )


@contextmanager
def self_recording(
    module: nn.Module, sink: Sink, shape: Callable[[Tensor], tuple[int, ...]]
) -> Iterator[None]:
    """Let a `SelfObserving` neuron hand out its potentials, checked by a `Recorder`.

    Args:
        module: the neuron.
        sink: takes the potentials.
        shape: from an input of its forward to `[T, B, C, *space]`.
    """
    recorder = Recorder(type(module).__name__, sink)

    # A copy that is made meanwhile takes the hooks along: they answer for this neuron alone.
    def before(called: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if called is module:
            recorder.begin(shape(first_input(args, kwargs)))

    def after(called: nn.Module, *_: Any) -> None:
        if called is module:
            recorder.end()

    with ExitStack() as stack:
        before_handle = module.register_forward_pre_hook(before, with_kwargs=True)
        stack.callback(before_handle.remove)
        after_handle = module.register_forward_hook(after)
        stack.callback(after_handle.remove)
        stack.enter_context(cast(SelfObserving, module).observe_potential(recorder))
        yield


def first_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Return the tensor that a module was called with, by position or by name."""
    return cast(Tensor, args[0] if args else next(iter(kwargs.values())))


@final
class PassThrough(torch.autograd.Function):
    """Identity with an autograd node of its own.

    It copies: an output that is a view of its input could not be changed in place by the model.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return a copy of `x`."""
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Return the gradient as it is."""
        return gradients[0]


@final
class FollowedBy:
    """A neuron's own method followed by a callback; on a copy of the neuron, the method alone."""

    def __init__(self, module: nn.Module, name: str, then: Callable[[], None]) -> None:
        self._module, self._name, self._then = module, name, then
        self._own: Callable[[], None] = getattr(module, name)

    def __call__(self) -> None:
        """Run both."""
        self._own()
        self._then()

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[[], None]:
        """Bind to the copy of the neuron that is being made."""
        copied = memo[id(self._module)]
        return cast(Callable[[], None], getattr(type(copied), self._name).__get__(copied))


@contextmanager
def shadowed(module: nn.Module, name: str, value: object) -> Iterator[None]:
    """Set an attribute of this one instance, past nn.Module's bookkeeping; undone afterwards."""
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
