"""Forwards that activation checkpointing runs again inside of the backward pass."""

import torch


def recomputing() -> bool:
    """Return whether a backward pass is under way, so that a forward is one that ran before.

    `torch.utils.checkpoint` runs its block again to get the activations that it did not keep. What
    observes or counts a forward must leave out the second one.
    """
    return bool(torch._C._current_graph_task_id() != -1)
