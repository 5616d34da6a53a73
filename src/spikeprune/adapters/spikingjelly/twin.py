"""A copy of a SpikingJelly neuron that reports its potentials by running the reference path.

The twin shares the parameters and copies the state. SpikingJelly does not know the class of its
surrogate, so it runs the reference path, which calls the surrogate once per step with `H - V_th`.
"""

import copy
import functools
from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from spikeprune.neurons.sinks import Sink


@torch.no_grad()
def replay(module: nn.Module, sink: Sink, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Run a twin on the input of a forward; pass each step's `H - V_th` to `sink` unchanged."""
    twin = twin_of(module)
    twin.surrogate_function = _spy_class()(twin.surrogate_function, sink)
    twin.forward(*args, **kwargs)


def twin_of(module: nn.Module) -> Any:
    """Return a copy of a neuron that shares its parameters and has its own state and buffers."""
    twin = copy.copy(module)
    own = twin.__dict__
    own.update({name: _own(value) for name, value in own.items() if isinstance(value, Tensor)})
    for store in ("_buffers", "_memories"):
        own[store] = {name: _own(value) for name, value in own.get(store, {}).items()}
    own["_modules"] = {name: m and twin_of(m) for name, m in module._modules.items()}
    return twin


def _own(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else copy.copy(value)


@functools.cache
def _spy_class() -> type[Any]:
    from spikingjelly.activation_based.surrogate import SurrogateFunctionBase

    @final
    class Spy(SurrogateFunctionBase):  # type: ignore[misc]
        """Passes its argument to `take` and returns the value of the surrogate that it replaces."""

        def __init__(self, spied: Callable[[Tensor], Tensor], take: Sink) -> None:
            super().__init__(spiking=False)  # some neurons else use a Heaviside in eval mode
            self.spied, self.take = spied, take

        def forward(self, x: Tensor) -> Tensor:
            self.take(x)
            return self.spied(x)

    return Spy
