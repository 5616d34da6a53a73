"""A copy of a SpikingJelly neuron that shows its potentials by taking the reference path.

The twin shares the parameters and has a copy of the state. Its surrogate is of a class that
SpikingJelly does not know, which makes it take the reference path; that calls the surrogate once
per step with `H - V_th`.
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
    """Run a twin on the input of a forward; potentials of each step go to `sink` as they are."""
    twin = twin_of(module)
    twin.surrogate_function = _spy_class()(twin.surrogate_function, sink)
    twin.forward(*args, **kwargs)


def twin_of(module: nn.Module) -> Any:
    """Return a copy of a neuron that shares its parameters; all else that changes is its own."""
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
        """Gives its argument to `take` and returns what the surrogate that it stands for returns.

        `spiking=False`: some neurons use a bare Heaviside in eval mode unless it is off.
        """

        def __init__(self, spied: Callable[[Tensor], Tensor], take: Sink) -> None:
            super().__init__(spiking=False)
            self.spied, self.take = spied, take

        def forward(self, x: Tensor) -> Tensor:
            self.take(x)
            return self.spied(x)

    return Spy
