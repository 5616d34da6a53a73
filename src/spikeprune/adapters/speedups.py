"""Neurons made faster where there is a way, and back: `fuse`, `unfuse`; loops of others' own."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from spikeprune.adapters.base import Fusing, Hoisted, Hoisting, Inference, Inferring
from spikeprune.adapters.registry import adapters


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


def hoist(model: nn.Module) -> tuple[str, ...]:
    """Let layers in multi-step mode compute equal time steps once; return their names.

    It takes effect where an input is expanded over time (`x.expand(T, *x.shape)`: stride 0); else,
    in single-step mode, and while tracing or compiling, the layers compute as ever. Outputs,
    gradients and the statistics of BatchNorm are those of T equal steps, up to rounding: the
    running variance of T x n samples is n T (n - 1) / (n (n T - 1)) that of n. A hoisted layer
    stays the same object, an instance of its class, with its parameters, hooks and state_dict.

    Outputs of hoisted layers are expanded over time, too: a model that changes them in place, or
    calls `view` across their time axis, raises an error of PyTorch.

    Args:
        model: any; layers without a hoisted form stay as they are.
    """
    hoisting = [adapter for adapter in adapters() if isinstance(adapter, Hoisting)]
    return tuple(
        name
        for name, module in model.named_modules()
        if any(adapter.hoist(module) for adapter in hoisting)
    )


def unhoist(model: nn.Module) -> tuple[str, ...]:
    """Undo `hoist`; return the names of the layers that were hoisted."""
    hoisting = [adapter for adapter in adapters() if isinstance(adapter, Hoisting)]
    return tuple(
        name
        for name, module in model.named_modules()
        if any(adapter.unhoist(module) for adapter in hoisting)
    )


def computed(module: nn.Module, x: Tensor) -> Tensor:
    """Return the part of its input `[T, B, *]` that a layer computes on: all, or one step."""
    return x[:1] if isinstance(module, Hoisted) and module.hoists(x) else x
