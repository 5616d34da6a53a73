"""Walks over the autograd graph of a forward."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.autograd.graph import Node


def ancestors(
    start: Node | None, stop: Callable[[Node], bool] = lambda node: False
) -> Iterator[Node]:
    """Yield `start` and every node that leads to it once, but nothing before a node that stops."""
    seen: set[Node] = set()
    waiting = [start]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        if not stop(node):
            waiting.extend(source for source, _ in node.next_functions)


def sources(call: Any) -> tuple[tuple[Node | None, int], ...]:
    """Return `next_functions` of the context of an autograd function.

    Empty where the call is not, or no longer, part of a graph; torch before 2.13 may raise there.
    """
    try:
        found: tuple[tuple[Node | None, int], ...] = call.next_functions
    except RuntimeError:
        return ()
    return found
