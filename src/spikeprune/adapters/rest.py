"""The state that neurons keep between forwards: put to rest, or kept as it is."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune.adapters.registry import adapters

_RESETS = ("reset", "reset_state", "reset_states", "reset_mem")
_OF_MODULE = frozenset(vars(nn.Module()))


def reset(model: nn.Module) -> None:
    """Put every stateful module to rest, as its framework does or by a method of its own.

    Modules of no known framework have a method `reset`, `reset_state`, `reset_states` or
    `reset_mem` without arguments, or keep no state between forwards.
    """
    for adapter in adapters():
        adapter.reset(model)
    for module in model.modules():
        method = _own_reset(type(module))
        if method is not None:
            method(module)


def _own_reset(kind: type) -> Any:
    if kind.__module__.startswith(("torch.", *(f"{a.framework}." for a in adapters()))):
        return None
    for name in _RESETS:
        method = inspect.getattr_static(kind, name, None)
        if inspect.isfunction(method) and _needs_nothing(method) and not _of_adapter(kind, name):
            return method
    return None


def _of_adapter(kind: type, name: str) -> bool:
    """Whether a method is inherited from a framework whose adapter resets it."""
    owner = next(base for base in kind.__mro__ if name in vars(base))
    return owner.__module__.startswith(tuple(f"{a.framework}." for a in adapters()))


def _needs_nothing(method: Any) -> bool:
    _, *others = inspect.signature(method).parameters.values()
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return all(p.default is not p.empty or p.kind in kinds for p in others)


def at_rest(model: nn.Module, saved: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state_dict with the state of neurons as the model has it before its first forward.

    Some frameworks keep membrane potentials in buffers that are empty until a forward gives them
    the shape of its batch; what was saved after that fits no net that is built anew.
    """
    empty = {n: b for n, b in model.state_dict().items() if isinstance(b, Tensor) and not b.numel()}
    return {name: empty.get(name, value) for name, value in saved.items()}


@contextmanager
def state_kept(model: nn.Module) -> Iterator[None]:
    """Put back attributes and buffers of all modules afterwards, parameters excepted."""
    kept = [_Kept(module) for module in model.modules()]
    try:
        yield
    finally:
        for one in kept:
            one.put_back()


class _Kept:
    """Attributes and buffers of one module as they were."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._own = {n: v for n, v in vars(module).items() if n not in _OF_MODULE}
        self._stores = [vars(module)["_buffers"]]
        memories = vars(module).get("_memories")
        if isinstance(memories, dict):
            self._stores.append(memories)
        self._stored = [dict(store) for store in self._stores]
        lists = [v for v in self._own.values() if isinstance(v, list)]
        self._lists = [(one, list(one)) for one in lists]
        tensors = [*self._own.values(), *(v for s in self._stored for v in s.values())]
        self._tensors = [
            (t, t._version, t.detach().clone()) for t in tensors if isinstance(t, Tensor)
        ]

    def put_back(self) -> None:
        own = vars(self._module)
        for name in own.keys() - _OF_MODULE - self._own.keys():
            del own[name]
        own.update(self._own)
        for store, stored in zip(self._stores, self._stored, strict=True):
            store.clear()
            store.update(stored)
        for one, items in self._lists:
            one[:] = items
        with torch.no_grad():
            for tensor, version, value in self._tensors:
                if tensor._version != version:
                    tensor.detach().copy_(value)
