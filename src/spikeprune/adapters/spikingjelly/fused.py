"""SpikingJelly's IF, LIF and PLIF with this package's forward and backward in step mode 'm'.

A fused neuron stays the same object; only its class changes, to a subclass. Every forward checks
whether the fused step can run; otherwise SpikingJelly's own forward runs.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from spikeprune.adapters.base import Inference, Refusal
from spikeprune.adapters.spikingjelly.describe import describe
from spikeprune.adapters.spikingjelly.twin import replay
from spikeprune.adapters.toolkit import before_forward, first_input
from spikeprune.neurons.lif import Dynamics
from spikeprune.neurons.multistep import run
from spikeprune.neurons.sinks import Sink

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_SINKS = "_potential_sinks"
_PLAIN = "_plain_class"
_INFERENCE = "_inference"
_COMPILED = "_compiled_body"


def attach(module: nn.Module, *, compiled: bool = False) -> None:
    """Fuse a neuron, or set `compiled` of a fused one; see `adapters.base.Fusing`."""
    plain, step_mode = plain_class(module), getattr(module, "step_mode", None)
    describe(module, plain)
    if step_mode != "m":
        raise Refusal(f"it is in step mode {step_mode!r}; set step mode 'm' first")
    module.__class__ = _fused_class(plain, compiled)


def detach(module: nn.Module) -> bool:
    """Give a neuron its own class back; return whether it was fused."""
    fused = _PLAIN in vars(type(module))
    if fused:
        module.__class__ = plain_class(module)
        vars(module).pop(_INFERENCE, None)
    return fused


def infer_by(module: nn.Module, body: Inference) -> bool:
    """Let a fused neuron run `body` without gradients; return whether it is fused."""
    fused = _PLAIN in vars(type(module))
    if fused:
        vars(module)[_INFERENCE] = body
    return fused


class _Sinks(list[Sink]):
    """The sinks of one neuron; a copy of the neuron, or its file, has none."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Sinks":
        return _Sinks()

    def __reduce__(self) -> tuple[type["_Sinks"], tuple[()]]:
        return _Sinks, ()


class _Fused:
    """First base of a fused class; the second is the neuron's SpikingJelly class."""

    def multi_step_forward(self, x_seq: Tensor, *args: Any, **kwargs: Any) -> Any:
        node = cast(Any, self)
        dynamics = _dynamics(node, (x_seq, *args), kwargs)
        if dynamics is None:
            return cast(Any, super()).multi_step_forward(x_seq, *args, **kwargs)
        state, sinks = _state(node, x_seq), vars(node).get(_SINKS, ())
        body, result = vars(node).get(_INFERENCE), None
        if body is not None and not torch.is_grad_enabled() and not sinks:
            result = body(x_seq, state, dynamics)
        if result is None:
            weight, compiled = getattr(node, "w", None), getattr(node, _COMPILED)
            result = run(x_seq, state, dynamics, weight=weight, sinks=sinks, compiled=compiled)
        spikes, node._memories["v"] = result
        return spikes

    @contextmanager
    def observe_potential(self, sink: Sink) -> Iterator[None]:
        """Pass the potentials to `sink`; a twin replays forwards that SpikingJelly runs itself."""
        node = cast(Any, self)

        def replay_unfused(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if node.step_mode != "m" or _dynamics(node, args, kwargs) is None:
                replay(node, sink, args, kwargs)

        with before_forward(node, replay_unfused):
            sinks = vars(node).setdefault(_SINKS, _Sinks())
            sinks.append(sink)
            try:
                yield
            finally:
                sinks.remove(sink)
                if not sinks:
                    vars(node).pop(_SINKS, None)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # A class made at run time cannot be found by its name, for example by a worker process.
        made = plain_class(self), getattr(self, _COMPILED)
        return _rebuilt, made, cast(Any, super().__reduce_ex__(2))[2]


@functools.cache
def _fused_class(plain: Any, compiled: bool) -> Any:
    members = {"__doc__": plain.__doc__, _PLAIN: plain, _COMPILED: compiled}
    return type(f"Fused{plain.__name__}", (_Fused, plain), members)


def plain_class(module: object) -> Any:
    """Return the class that was fused, else the module's class, also if its base is a fused one."""
    return vars(type(module)).get(_PLAIN, type(module))


def _rebuilt(plain: Any, compiled: bool) -> Any:
    fused = _fused_class(plain, compiled)
    return fused.__new__(fused)


def _dynamics(node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Dynamics | None:
    """Return the neuron's constants, or None if SpikingJelly must run this forward."""
    if torch.compiler.is_compiling() or cast(Any, torch.jit).is_tracing():
        return None
    if len(args) + len(kwargs) > 1 or not _plain_input(first_input(args, kwargs)):
        return None
    try:
        dynamics = describe(node, plain_class(node))
    except Refusal:
        return None
    return dynamics if isinstance(node._memories["v"], Tensor | float) else None


def _plain_input(x: Any) -> bool:
    return (
        type(x) in (Tensor, nn.Parameter)  # no fake, distributed or otherwise special tensor
        and x.device.type == "cpu"
        and x.layout == torch.strided
        and x.dtype in _DTYPES
        and x.ndim >= 2
        and x.numel() > 0
    )


def _state(node: Any, x: Tensor) -> Tensor | float:
    v = node._memories["v"]
    if not isinstance(v, Tensor):
        return float(v)
    if v.shape != x.shape[1:]:  # like SpikingJelly, start from rest if the shape changes
        return 0.0 if node.v_reset is None else float(node.v_reset)
    return v.to(x.device, torch.promote_types(x.dtype, torch.float32))
