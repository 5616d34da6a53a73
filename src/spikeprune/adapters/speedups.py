"""Faster forms of a model's modules: fused neurons and hoisted layers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from spikeprune.adapters.base import (
    Adapter,
    Fusing,
    Hoisted,
    Hoisting,
    Inference,
    Inferring,
    Refusal,
)
from spikeprune.adapters.registry import adapters, claimant
from spikeprune.neurons import kernels


@dataclass(frozen=True)
class FuseReport:
    """Result of `fuse`."""

    fused: tuple[str, ...]  # names of the fused neurons
    left: Mapping[str, str]  # the reason by name for each neuron that stays as it is

    def __str__(self) -> str:
        head = f"{len(self.fused)} of {len(self.fused) + len(self.left)} spiking neurons fused"
        return "; ".join([head, *(f"{name!r} is not: {why}" for name, why in self.left.items())])


def fuse(model: nn.Module, *, compiled: bool = False) -> FuseReport:
    """Give spiking neurons a faster multi-step forward and backward, if there is one.

    A fused neuron stays the same object, an instance of its class, with its parameters, state and
    state_dict. Its framework's own forward runs in single-step mode, on other devices than the
    CPU, while tracing or compiling, and when potentials are to be stored. Float32 spikes are equal
    bit for bit and gradients agree up to rounding; with half-precision inputs the potentials are
    float32. There are no second derivatives.

    The compiled body is several times faster still and stores no potentials for the backward. It
    costs tens of seconds at the first forward and backward on a machine, and seconds in every
    later process, which reads the kernels from torch's inductor cache on disk. It needs a C++
    compiler. Without one, a single warning is given and the eager body runs, which also serves
    float64, surrogates without a closed form and sequences of more than 32 steps. Both bodies give
    equal spikes bit for bit.

    Args:
        model: any; neurons that are already fused count as fused and change to `compiled`.
        compiled: whether to use the compiled body.
    """
    fused: list[str] = []
    left: dict[str, str] = {}
    for name, module in model.named_modules():
        adapter = claimant(module)
        if adapter is None:
            continue
        try:
            if not isinstance(adapter, Fusing):
                raise Refusal(f"neurons of {adapter.framework} have no fused form")
            adapter.fuse(module, compiled=compiled)
            fused.append(name)
        except Refusal as refusal:
            left[name] = str(refusal)
    return FuseReport(tuple(fused), left)


def unfuse(model: nn.Module) -> tuple[str, ...]:
    """Undo `fuse` and `infer_by`; return the names of the neurons that were fused."""
    return _changed(model, lambda adapter, m: isinstance(adapter, Fusing) and adapter.unfuse(m))


def infer_by(model: nn.Module, body: Inference) -> tuple[str, ...]:
    """Let fused neurons run `body`, which gives equal spikes, without gradients; return names."""
    return _changed(
        model, lambda adapter, m: isinstance(adapter, Inferring) and adapter.infer_by(m, body)
    )


def hoist(model: nn.Module) -> tuple[str, ...]:
    """Let layers in multi-step mode compute equal time steps once; return their names.

    This takes effect if an input is expanded over time (`x.expand(T, *x.shape)`: stride 0). For
    other inputs, in single-step mode, and while tracing or compiling, the layers compute every
    step. Outputs, gradients and the statistics of BatchNorm are those of T equal steps, up to
    rounding: the running variance of T x n samples is n T (n - 1) / (n (n T - 1)) that of n. A
    hoisted layer stays the same object, an instance of its class, with its parameters, hooks and
    state_dict.

    Outputs of hoisted layers are expanded over time, too: a model that changes them in place, or
    calls `view` across their time axis, raises an error of PyTorch. Other layers stay as they are.
    """
    return _changed(model, lambda adapter, m: isinstance(adapter, Hoisting) and adapter.hoist(m))


def unhoist(model: nn.Module) -> tuple[str, ...]:
    """Undo `hoist`; return the names of the layers that were hoisted."""
    return _changed(model, lambda adapter, m: isinstance(adapter, Hoisting) and adapter.unhoist(m))


def cannot_compile() -> str | None:
    """Return why neurons cannot be compiled on this machine, or None; the first call tries it."""
    return kernels.obstacle()


def _changed(model: nn.Module, change: Callable[[Adapter, nn.Module], bool]) -> tuple[str, ...]:
    """Return the names of the modules that one of the adapters has changed."""
    known = adapters()
    return tuple(
        name
        for name, module in model.named_modules()
        if any(change(adapter, module) for adapter in known)
    )


def computed(module: nn.Module, x: Tensor) -> Tensor:
    """Return the part of its input `[T, B, *]` that a layer computes: all steps, or only one."""
    return x[:1] if isinstance(module, Hoisted) and module.hoists(x) else x
