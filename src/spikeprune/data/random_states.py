"""Draw at random without moving the user's generators."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

SEED = 0
"""The seed of all that is drawn to be compared."""
_ENTRIES = 200  # of a list or dict that is searched for generators
_KINDS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


def seed_all() -> None:
    """Seed the global generators; not torch's of other devices, which would be restored late."""
    torch.default_generator.manual_seed(SEED)
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 (the user's code may draw from it)


@contextmanager
def unmoved(loader: Any = None) -> Iterator[None]:
    """Give the global generators, and those that a loader holds, their states back afterwards."""
    held = list(_generators(loader, set()))
    states = [_state(one) for one in held]
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        for one, state in zip(held, states, strict=True):
            _restore(one, state)


def _generators(node: Any, seen: set[int]) -> Iterator[Any]:
    """Yield the generators among the attributes of loaders, samplers, data sets and transforms."""
    if id(node) in seen or isinstance(node, Tensor | np.ndarray | str | bytes | type):
        return
    seen.add(id(node))
    if isinstance(node, _KINDS):
        yield node
    elif isinstance(node, list | tuple) and len(node) <= _ENTRIES:
        for value in node:
            yield from _generators(value, seen)
    elif isinstance(node, dict) and len(node) <= _ENTRIES:
        for value in node.values():
            yield from _generators(value, seen)
    elif hasattr(node, "__dict__") and not isinstance(node, ModuleType):
        yield from _generators(vars(node), seen)


def _state(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, random.Random):
        return generator.getstate()
    return generator.get_state()


def _restore(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)
