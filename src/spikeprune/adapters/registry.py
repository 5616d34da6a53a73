"""The known adapters, and the search for a model's adapter and spiking neurons."""

import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from torch import nn

from spikeprune.adapters.base import Adapter
from spikeprune.errors import ModelError

_BUILT_IN: Mapping[str, str] = MappingProxyType(
    {"spikingjelly": "spikeprune.adapters.spikingjelly.adapter"}  # framework -> module with ADAPTER
)
_registered: dict[str, Adapter] = {}


def register(adapter: Adapter) -> None:
    """Add an adapter; it replaces an adapter of the same framework."""
    _registered[adapter.framework] = adapter


def adapters() -> tuple[Adapter, ...]:
    """Return the adapters of the frameworks that this process has imported; no model has others."""
    for framework, path in _BUILT_IN.items():
        if framework in sys.modules and framework not in _registered:
            register(import_module(path).ADAPTER)
    return tuple(a for name, a in _registered.items() if name in sys.modules)


def adapter_for(model: nn.Module) -> Adapter:
    """Return the adapter of the framework of the model's spiking neurons.

    Refuse neurons that cannot be observed, none at all, or those of several frameworks.
    """
    return _scan(model)[0]


def spiking_neurons(model: nn.Module) -> dict[str, nn.Module]:
    """Return the spiking neurons of a model by name, each module once, in the model's order."""
    return _scan(model)[1]


def _scan(model: nn.Module) -> tuple[Adapter, dict[str, nn.Module]]:
    owners: dict[str, Adapter] = {}
    neurons: dict[str, nn.Module] = {}
    opaque: dict[str, nn.Module] = {}
    known = adapters()
    for name, module in model.named_modules():
        if any(name.startswith(f"{outer}.") for outer in (*neurons, *opaque)):
            continue
        for adapter in known:
            if adapter.matches(module):
                neurons[name] = module
                owners[adapter.framework] = adapter
            elif adapter.opaque(module):
                opaque[name] = module
    if opaque:
        listed = ", ".join(f"{name!r} ({type(m).__name__})" for name, m in opaque.items())
        raise ModelError(
            f"expected neurons whose membrane potential can be observed, got {listed}; "
            "use a neuron with a surrogate function and binary spikes, or give its class a method "
            "`observe_potential`"
        )
    if len(owners) != 1:
        frameworks = ", ".join(sorted({*_BUILT_IN, *_registered}))
        found = f"neurons of {' and '.join(sorted(owners))}" if owners else "none"
        raise ModelError(
            f"expected spiking neurons of one framework ({frameworks}) in "
            f"{type(model).__name__}, got {found}; register an adapter for another framework"
        )
    return next(iter(owners.values())), neurons
