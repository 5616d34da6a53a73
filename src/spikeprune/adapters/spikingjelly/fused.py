"""SpikingJelly's IF, LIF and PLIF with a forward and backward of our own in step mode 'm'.

A fused neuron is the same object with the same parameters and state; only its class is a subclass
of its own one, which survives copies and everything that walks over modules. Whether the fused
step may be taken is asked in every forward, of the neuron as it is then; otherwise SpikingJelly's
own forward runs.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from spikeprune.adapters.base import Inference
from spikeprune.adapters.spikingjelly.describe import describe
from spikeprune.adapters.spikingjelly.twin import replay
from spikeprune.adapters.toolkit import first_input
from spikeprune.neurons.lif import Dynamics
from spikeprune.neurons.multistep import run
from spikeprune.neurons.sinks import Sink

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_SINKS = "_potential_sinks"
_PLAIN = "_plain_class"
_INFERENCE = "_inference"
_COMPILED = "_compiled_body"


def attach(module: nn.Module, *, compiled: bool = False) -> str | None:
    """Fuse a neuron, once or again.

    Args:
        module: any module.
        compiled: whether to take the compiled body where it serves, see `compiled.serves`.

    Returns:
        None, or the reason why the neuron stays as it is.
    """
    step_mode = getattr(module, "step_mode", None)
    described = describe(module, _plain_class(module))
    if isinstance(described, str):
        return described
    if step_mode != "m":
        return f"it is in step mode {step_mode!r}; set step mode 'm' first"
    module.__class__ = _fused_class(_plain_class(module), compiled)
    return None


def detach(module: nn.Module) -> bool:
    """Give a neuron its own class back; return whether it was fused."""
    fused = _PLAIN in vars(type(module))
    if fused:
        module.__class__ = _plain_class(module)
        vars(module).pop(_INFERENCE, None)
    return fused


def infer_by(module: nn.Module, body: Inference) -> bool:
    """Let a fused neuron run by `body` without gradients; return whether it is fused."""
    fused = _PLAIN in vars(type(module))
    if fused:
        vars(module)[_INFERENCE] = body
    return fused


class _Sinks(list[Sink]):
    """Who is told of one neuron's potentials; a copy of the neuron tells nobody."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Sinks":
        return _Sinks()


class _Fused:
    """What a fused class has before its SpikingJelly class."""

    def multi_step_forward(self, x_seq: Tensor, *args: Any, **kwargs: Any) -> Any:
        node = cast(Any, self)
        dynamics = _dynamics(node, (x_seq, *args), kwargs)
        if dynamics is None:
            return cast(Any, super()).multi_step_forward(x_seq, *args, **kwargs)
        inferred = _inferred(node, x_seq, dynamics)
        if inferred is not None:
            spikes, node._memories["v"] = inferred
            return spikes
        spikes, node._memories["v"] = run(
            x_seq,
            _state(node, x_seq),
            dynamics,
            weight=getattr(node, "w", None),
            sinks=vars(node).get(_SINKS, ()),
            compiled=getattr(node, _COMPILED),
        )
        return spikes

    @contextmanager
    def observe_potential(self, sink: Sink) -> Iterator[None]:
        """Give the potentials to `sink`, see `SelfObserving`; a twin helps where it steps aside."""
        node = cast(Any, self)

        def before(called: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if called is not node:  # a copy that was made meanwhile took the hook along
                return
            if node.step_mode != "m" or _dynamics(node, args, kwargs) is None:
                replay(node, sink, args, kwargs)

        handle = node.register_forward_pre_hook(before, with_kwargs=True)
        sinks = vars(node).setdefault(_SINKS, _Sinks())
        sinks.append(sink)
        try:
            yield
        finally:
            sinks.remove(sink)
            if not sinks:
                vars(node).pop(_SINKS, None)
            handle.remove()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # A class that is made at run time cannot be found by its name, for example by a worker.
        made = _plain_class(self), getattr(self, _COMPILED)
        return _rebuilt, made, cast(Any, super().__reduce_ex__(2))[2]


@functools.cache
def _fused_class(plain: Any, compiled: bool) -> Any:
    members = {"__doc__": plain.__doc__, _PLAIN: plain, _COMPILED: compiled}
    return type(f"Fused{plain.__name__}", (_Fused, plain), members)


def _plain_class(module: object) -> Any:
    """Return the class that was fused; what is derived from a fused class is a class of its own."""
    return vars(type(module)).get(_PLAIN, type(module))


def _rebuilt(plain: Any, compiled: bool) -> Any:
    fused = _fused_class(plain, compiled)
    return fused.__new__(fused)


def _dynamics(node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Dynamics | None:
    """Return what the neuron computes, or None where SpikingJelly must compute it."""
    if torch.compiler.is_compiling() or cast(Any, torch.jit).is_tracing():
        return None
    if len(args) + len(kwargs) > 1 or not _plain_input(first_input(args, kwargs)):
        return None
    described = describe(node, _plain_class(node))
    if isinstance(described, str) or not isinstance(node._memories["v"], Tensor | float):
        return None
    return described


def _inferred(node: Any, x: Tensor, dynamics: Dynamics) -> tuple[Tensor, Tensor] | None:
    """Return spikes and V_T by the body that was given for inference, if it serves here."""
    body = vars(node).get(_INFERENCE)
    if body is None or torch.is_grad_enabled() or vars(node).get(_SINKS):
        return None
    inferred: tuple[Tensor, Tensor] | None = body(x, _state(node, x), dynamics)
    return inferred


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
    if v.shape != x.shape[1:]:  # SpikingJelly starts anew too when the shape changes
        return 0.0 if node.v_reset is None else float(node.v_reset)
    return v.to(x.device, torch.promote_types(x.dtype, torch.float32))
