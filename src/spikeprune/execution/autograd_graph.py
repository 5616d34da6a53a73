"""Walks over the autograd graph of a forward."""

from collections.abc import Callable, Iterator

import torch
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


def repeated() -> bool:
    """Return whether a backward pass is under way: it runs checkpointed forwards a second time."""
    return torch._C._current_graph_task_id() != -1
