"""The saved state of a pruner: whether it is one of this pruner."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from spikeprune.errors import RunError


def refuse_foreign(
    state: Mapping[str, Any], live: Mapping[str, Tensor], event_steps: Sequence[int]
) -> None:
    """Refuse the state of a pruner of other layers or events.

    `live` and `event_steps` are those of the pruner that is to go on from `state`.

    Raises:
        RunError: names or shapes of what is pruned, or the steps of the events, differ.
    """
    shapes = {name: mask.shape for name, mask in live.items()}
    saved = {name: mask.shape for name, mask in state["live"].items()}
    if saved != shapes or list(state["event_steps"]) != list(event_steps):
        raise RunError(
            f"expected the state of a pruner of {len(shapes)} layers with events at steps "
            f"{_brief(event_steps)}, got one of {len(saved)} layers with events at "
            f"{_brief(state['event_steps'])}, or of other names or sizes; make the Pruner "
            "with the model and the options of the run that was saved"
        )


def restored(masks: Mapping[str, Tensor], live: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return saved masks in the memory order of `live`, that of the weights, which is quicker."""
    return {n: torch.empty_like(mask).copy_(masks[n]) for n, mask in live.items()}


def moved(saved: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return saved tensors on the devices of those of the same names."""
    return {name: tensor.to(like[name].device) for name, tensor in saved.items()}


def _brief(steps: Iterable[int]) -> str:
    """Format event steps for a message: all if fewer than five, else the first two and the last."""
    texts = [str(step) for step in steps]
    return ", ".join(texts if len(texts) < 5 else [*texts[:2], "...", texts[-1]])
