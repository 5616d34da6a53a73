"""Neurons made faster where there is a way, and back: `fuse`, `unfuse`; loops of others' own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from spikeprune.adapters.base import adapters

Inference = Callable[[Tensor, Tensor | float, Any], tuple[Tensor, Tensor] | None]
"""Runs a neuron without gradients: input `[T, B, *]`, V_0, `neurons.lif.Dynamics` -> spikes
`[T, B, *]` and V_T, or None for what it does not know."""


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


@dataclass(frozen=True)
class FuseReport:
    """What `fuse` did.

    Attributes:
        fused: names of the neurons that are fused now.
        left: reason by name, of the neurons that stay as they are.
    """

    fused: tuple[str, ...]
    left: Mapping[str, str]

    def __str__(self) -> str:
        head = f"{len(self.fused)} of {len(self.fused) + len(self.left)} spiking neurons fused"
        return "; ".join([head, *(f"{name!r} is not: {why}" for name, why in self.left.items())])


def fuse(model: nn.Module, *, compiled: bool = False) -> FuseReport:
    """Give spiking neurons a faster multi-step forward and backward, where there is one.

    A fused neuron stays the same object, an instance of its class, with its parameters, state and
    state_dict; where the faster step does not serve a forward (single-step mode, another device
    than the CPU, potentials to be stored, tracing and compilation), its framework's own runs. In
    float32 the spikes are the same bit for bit and gradients agree up to rounding; with inputs in
    half precision the potentials are kept in float32. There are no second derivatives.

    The compiled body is several times as fast again and keeps no potentials for the backward, but
    costs tens of seconds at the first forward and backward on a machine, and seconds in every
    process after that: the kernels are kept on disk, in torch's inductor cache. It needs a C++
    compiler; where there is none, that is said once and the eager body runs, which also serves
    float64, surrogates without a closed form and sequences of more than 32 steps. Both bodies give
    the same spikes bit for bit. On other devices than the CPU the framework's own kernels run.

    Args:
        model: any; neurons that are fused already count as fused, and take on `compiled`.
        compiled: whether to take the compiled body.
    """
    fused: list[str] = []
    left: dict[str, str] = {}
    for name, module in model.named_modules():
        for adapter in adapters():
            if not (adapter.matches(module) or adapter.opaque(module)):
                continue
            if isinstance(adapter, Fusing):
                reason = adapter.fuse(module, compiled=compiled)
            else:
                reason = f"neurons of {adapter.framework} have no fused form"
            if reason is None:
                fused.append(name)
            else:
                left[name] = reason
    return FuseReport(tuple(fused), left)


def infer_by(model: nn.Module, body: Inference) -> tuple[str, ...]:
    """Let fused neurons run by `body` where no gradient is asked for; return their names.

    `body` must give the same spikes as the neuron, bit for bit; `unfuse` takes it away again.
    """
    inferring = [adapter for adapter in adapters() if isinstance(adapter, Inferring)]
    return tuple(
        name
        for name, module in model.named_modules()
        if any(adapter.infer_by(module, body) for adapter in inferring)
    )


def cannot_compile() -> str | None:
    """Compile a small kernel, once in a process; return None, or why that did not work."""
    from spikeprune.neurons.kernels import obstacle  # these build on this module

    return obstacle()


def unfuse(model: nn.Module) -> tuple[str, ...]:
    """Undo `fuse`; return the names of the neurons that were fused."""
    fusing = [adapter for adapter in adapters() if isinstance(adapter, Fusing)]
    return tuple(
        name
        for name, module in model.named_modules()
        if any(adapter.unfuse(module) for adapter in fusing)
    )
