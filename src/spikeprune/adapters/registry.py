"""The known adapters, and the search for a model's adapter and spiking neurons."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from types import MappingProxyType

import torch
from torch import nn

from spikeprune.adapters.base import Adapter
from spikeprune.adapters.declared import DECLARED
from spikeprune.errors import ModelError

_BUILT_IN: Mapping[str, str] = MappingProxyType(
    # imported module -> module with ADAPTER
    {"spikingjelly.activation_based": "spikeprune.adapters.spikingjelly.adapter"}
)
_registered: dict[str, Adapter] = {}


def register(adapter: Adapter) -> None:
    """Add an adapter; it replaces an adapter of the same framework."""
    _registered[adapter.framework] = adapter


def adapters() -> tuple[Adapter, ...]:
    """Return the adapters of the frameworks that this process has imported, and registered ones.

    The last one serves neurons of no framework.
    """
    for framework, path in _BUILT_IN.items():
        if framework in sys.modules:
            adapter: Adapter = import_module(path).ADAPTER
            _registered.setdefault(adapter.framework, adapter)
    return (*_registered.values(), DECLARED)


def adapter_for(model: nn.Module) -> Adapter:
    """Return the adapter of the framework of the model's spiking neurons.

    Refuse neurons that cannot be observed, none at all, or those of several frameworks.
    """
    return _scan(model)[0]


def spiking_neurons(model: nn.Module) -> dict[str, nn.Module]:
    """Return the spiking neurons of a model by name, each module once, in the model's order."""
    return _scan(model)[1]


def spiking_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that known adapters take for neurons, by name; none is no error."""
    return {name: module for name, module, _ in _owned(model)}


def claimant(module: nn.Module) -> Adapter | None:
    """Return the adapter that knows a module as a neuron, whether or not it can be observed."""
    return next((a for a in adapters() if a.matches(module) or a.opaque(module)), None)


def owner(module: nn.Module) -> Adapter:
    """Return the adapter that takes a module for a neuron."""
    return next(adapter for adapter in adapters() if adapter.matches(module))


@contextmanager
def as_one_slice(model: nn.Module) -> Iterator[None]:
    """Let the model run one time slice as a feed-forward net with gradients, while active.

    Neurons of a framework pass their input through, see `Adapter.tracing`; others run as they are.
    """
    with ExitStack() as stack, torch.enable_grad():
        for adapter in {owner(module) for module in spiking_modules(model).values()}:
            stack.enter_context(adapter.tracing(model))
        yield


def _owned(model: nn.Module) -> Iterator[tuple[str, nn.Module, Adapter]]:
    """Yield the neurons with their adapters, without those inside of other neurons."""
    known, found = adapters(), list[str]()
    for name, module in model.named_modules():
        if any(name.startswith(f"{outer}.") for outer in found):
            continue
        adapter = next((a for a in known if a.matches(module)), None)
        if adapter is not None:
            found.append(name)
            yield name, module, adapter


def _scan(model: nn.Module) -> tuple[Adapter, dict[str, nn.Module]]:
    owners: dict[str, Adapter] = {}
    neurons: dict[str, nn.Module] = {}
    for name, module, adapter in _owned(model):
        neurons[name] = module
        owners[adapter.framework] = adapter
    opaque = {
        name: module
        for name, module in model.named_modules()
        if not any(name.startswith(f"{outer}.") for outer in neurons)
        and any(adapter.opaque(module) for adapter in adapters())
    }
    if opaque:
        listed = ", ".join(f"{name!r} ({type(m).__name__})" for name, m in opaque.items())
        raise ModelError(
            f"expected neurons whose membrane potential can be observed, got {listed}; "
            "use a neuron with a surrogate function and binary spikes, or give its class a method "
            "`observe_potential`"
        )
    if len(owners) != 1:
        frameworks = ", ".join(sorted(a.framework for a in adapters() if a is not DECLARED))
        found = f"neurons of {' and '.join(sorted(owners))}" if owners else "none"
        raise ModelError(
            f"expected spiking neurons of one framework ({frameworks}) in "
            f"{type(model).__name__}, got {found}; register an adapter for another framework"
        )
    return next(iter(owners.values())), neurons
