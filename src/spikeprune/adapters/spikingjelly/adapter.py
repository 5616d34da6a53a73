"""Adapter of SpikingJelly 2.x: its neurons are observed, traced, reset and simulated here.

Its neurons have no hooks between charge and reset, so before each forward of an observed neuron a
`twin` runs on the same input. Fused neurons report their own potentials.
"""

import copy
import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikeprune.adapters import toolkit as tools
from spikeprune.adapters.base import SelfObserving
from spikeprune.adapters.spikingjelly import fused, hoisted
from spikeprune.adapters.spikingjelly.describe import closed_slope, low_pass
from spikeprune.adapters.spikingjelly.twin import replay, twin_of
from spikeprune.adapters.toolkit import PassThrough, shadowed
from spikeprune.errors import ModelError
from spikeprune.neurons.sinks import Sink
from spikeprune.science.low_pass import LowPass

_PACKAGE = "spikingjelly.activation_based."
# These have a surrogate, but not one potential and one binary spike per step: they emit spike
# counts, signs, analog values or traces, take several inner steps, or use a plain Heaviside in
# eval mode.
_REFUSED = (
    "ILIFNode", "TernaryIFNode", "TernaryLIFNode", "LIAFNode", "FewSpikeNode", "OTTTLIFNode",
    "SLTTLIFNode", "ILCBaseNode", "NoisyBaseNode",
)  # fmt: skip
_STATELESS = ("PSN", "MaskedPSN", "SlidingPSN")


@final
class SpikingJelly:
    """Adapter of SpikingJelly 2.x, documented by the protocols in `adapters.base`."""

    framework = "spikingjelly"
    fuse = staticmethod(fused.attach)
    unfuse = staticmethod(fused.detach)
    infer_by = staticmethod(fused.infer_by)
    hoist = staticmethod(hoisted.attach)
    unhoist = staticmethod(hoisted.detach)

    def matches(self, module: nn.Module) -> bool:
        """Whether it is a neuron with a surrogate, one potential and one binary spike per step.

        Versions before 2 have none: their neurons are found by their spike functions.
        """
        from spikingjelly.activation_based import base

        if not _supported():
            return False
        known = callable(getattr(module, "surrogate_function", None)) and not _is(module, _REFUSED)
        # isinstance(module, SelfObserving) would take many times as long, for every module.
        itself = callable(getattr(module, "observe_potential", None))
        return isinstance(module, base.StepModule) and (known or itself)

    def opaque(self, module: nn.Module) -> bool:
        """Whether it is any other neuron, or a stateful module of an unknown class."""
        from spikingjelly.activation_based import base

        if not _supported() or self.matches(module):
            return False
        homes = {c.__module__ for c in type(module).__mro__ if c.__module__.startswith(_PACKAGE)}
        if any(home.startswith(f"{_PACKAGE}neuron") for home in homes):
            return True
        stateful = isinstance(module, base.MemoryModule) and bool(module._memories)
        return stateful and homes == {base.__name__} and not any(module.children())

    @contextmanager
    def observe(
        self, module: nn.Module, sink: Sink, on_reset: Callable[[], None]
    ) -> Iterator[None]:
        """Record the neuron while active; see `Adapter.observe`."""
        with ExitStack() as stack:
            if isinstance(module, SelfObserving):
                shape = functools.partial(_sequence_shape, module)
                stack.enter_context(tools.self_recording(module, sink, shape))
            else:
                stack.enter_context(_twin_recording(module, sink))
            if callable(getattr(module, "reset", None)):
                both = tools.FollowedBy(module, "reset", on_reset)
                stack.enter_context(shadowed(module, "reset", both))
            yield

    def surrogate(self, module: nn.Module) -> Callable[[Tensor], Tensor]:
        """Return u -> spikes with the surrogate gradient."""
        return cast(Callable[[Tensor], Tensor], cast(Any, module).surrogate_function)

    def derivative(self, module: nn.Module) -> Callable[[Tensor], Tensor] | None:
        """Return the surrogate derivative in closed form; see `adapters.base.ClosedForms`."""
        slope = closed_slope(getattr(module, "surrogate_function", None))
        return None if slope is None else slope.of

    def primitive(self, module: nn.Module) -> Callable[[Tensor], Tensor]:
        """Return the surrogate with `spiking` off."""
        surrogate = cast(Any, module).surrogate_function
        if isinstance(surrogate, nn.Module) and hasattr(surrogate, "spiking"):
            smooth: Any = copy.copy(surrogate)
            smooth.spiking = False
            with suppress(NotImplementedError):
                smooth(torch.zeros(1))
                return cast(Callable[[Tensor], Tensor], smooth)
        raise ModelError(
            f"expected a surrogate with a smooth forward value, got {surrogate!r}, which has "
            "none; score with value='derivative', or name a curve"
        )

    def threshold(self, module: nn.Module) -> float:
        """Return `v_threshold`."""
        value: Any = getattr(module, "v_threshold", None)
        number = isinstance(value, Tensor) and value.numel() == 1
        if isinstance(value, float | int) or (number and not isinstance(value, nn.Parameter)):
            return float(value)
        raise ModelError(
            f"expected a threshold that is one fixed number, got {type(module).__name__} with "
            f"v_threshold={value!r}; its potentials are observed relative to threshold all the same"
        )

    def low_pass(self, module: nn.Module) -> LowPass | None:
        """Return the filter of IF, LIF and PLIF; see `adapters.base.Filtering`."""
        return low_pass(module, fused.plain_class(module))

    def channel_state(self, module: nn.Module) -> tuple[str, ...]:
        """Return names of parameters and buffers that have exactly one axis longer than 1."""
        per_step = _is(module, ("GatedLIFNode",)) and cast(Any, module).conduct.ndim == 1
        if per_step or _is(module, _STATELESS):  # their longer tensors have one entry per step
            return ()
        tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        for name, tensor in tensors.items():
            if 1 < max(tensor.shape, default=1) < tensor.numel():
                raise ModelError(
                    f"expected {type(module).__name__} to keep one value per channel, got {name} "
                    f"of shape {tuple(tensor.shape)}; its channels cannot be cut, prune weights"
                )
        return tuple(name for name, tensor in tensors.items() if tensor.numel() > 1)

    @contextmanager
    def tracing(self, model: nn.Module) -> Iterator[None]:
        """Make the model a feed-forward net of one slice while active; see `Adapter.tracing`."""
        from spikingjelly.activation_based import base

        with ExitStack() as stack, torch.enable_grad():
            for module in model.modules():
                stack.enter_context(shadowed(module, "training", False))
                mode = getattr(module, "step_mode", None)
                if mode is not None and not isinstance(module, base.MultiStepModule):
                    stack.callback(setattr, module, "step_mode", mode)
                    cast(Any, module).step_mode = "s"
                if isinstance(module, base.MemoryModule):
                    fresh = copy.deepcopy(module._memories_rv)
                    stack.enter_context(shadowed(module, "_memories", fresh))
                forward = self._slice_forward(module)
                if forward is not None:
                    stack.enter_context(shadowed(module, "forward", forward))
            yield

    def reset(self, model: nn.Module) -> None:
        """Reset every stateful module.

        `functional.reset_net` would miss modules that were replaced since its first call, because
        it caches its list of modules per net.
        """
        from spikingjelly.activation_based import base

        for module in model.modules():
            if isinstance(module, base.MemoryModule):
                module.reset()

    @torch.no_grad()
    def simulate(self, module: nn.Module, drive: Tensor, time_steps: int) -> Tensor:
        """Return the spikes `[T, C]` under a constant drive `[C]`, in eval mode, from rest."""
        twin = twin_of(module)
        fused.detach(twin)  # compiling would not pay
        twin.training = False
        if hasattr(twin, "reset"):
            twin.reset()
        x = drive.reshape(1, -1, 1, 1)
        if _multi_step(module):
            spikes = twin.forward(x.expand(time_steps, *x.shape))
        else:
            spikes = torch.stack([twin.forward(x) for _ in range(time_steps)])
        return cast(Tensor, spikes.reshape(time_steps, -1))

    def _slice_forward(self, module: nn.Module) -> Callable[..., Tensor] | None:
        """Return the replacement of the module's forward in a trace of one slice, or None."""
        from spikingjelly.activation_based import base, layer

        # The empty queue of a Delay would cut the graph.
        if self.matches(module) or isinstance(module, layer.Delay):
            return _pass_through
        if isinstance(module, layer.SynapseFilter):  # its first step alone would look binary
            return _halved
        if isinstance(module, layer.ElementWiseRecurrentContainer | layer.LinearRecurrentContainer):
            raise ModelError(
                f"expected a net without recurrent connections, got {type(module).__name__}; what "
                "flows back between time steps cannot be followed in one slice"
            )
        if isinstance(module, base.MultiStepModule):  # these have no single-step mode
            if isinstance(module, nn.Sequential):
                return functools.partial(nn.Sequential.forward, module)
            if isinstance(module, _BatchNorm):
                return functools.partial(_BatchNorm.forward, module)
        return None


ADAPTER = SpikingJelly()


@functools.cache
def _supported() -> bool:
    return int(version("spikingjelly").split(".")[0]) >= 2


def _is(module: nn.Module, names: tuple[str, ...]) -> bool:
    from spikingjelly.activation_based import neuron

    # Some releases lack some of the classes.
    return isinstance(module, tuple(c for n in names if (c := getattr(neuron, n, None))))


def _multi_step(module: nn.Module) -> bool:
    from spikingjelly.activation_based import base

    default = "m" if isinstance(module, base.MultiStepModule) else "s"  # PSN sets no mode
    return getattr(module, "step_mode", default) == "m"


def _sequence_shape(module: nn.Module, x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape) if _multi_step(module) else (1, *x.shape)


def _pass_through(x: Tensor, *_: object, **__: object) -> Tensor:
    return cast(Tensor, cast(Any, PassThrough).apply(x))


def _halved(x: Tensor, *_: object, **__: object) -> Tensor:
    return 0.5 * _pass_through(x)


@contextmanager
def _twin_recording(module: nn.Module, sink: Sink) -> Iterator[None]:
    """Record a twin on the input of each forward of `module`, before the forward."""
    recorder = tools.Recorder(type(module).__name__, sink)

    def record(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        recorder.begin(_sequence_shape(module, tools.first_input(args, kwargs)))
        replay(module, recorder, args, kwargs)
        recorder.end()

    with tools.before_forward(module, record):
        yield
