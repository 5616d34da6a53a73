"""Early-bird tickets: an event happens as soon as what it would choose has settled."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikeprune.pruning.options import PruneOptions
from spikeprune.pruning.selection import Selection
from spikeprune.science.masks import Mask, distance

COMPARED = 5
"""Choices in a row that must be alike: You et al. keep those of five epochs."""


class EarlyBird:
    """Lets an event wait while its choice differs from those of the events before it.

    With the schedule `early-bird` every event chooses for the final density. It happens when the
    last five choices differ from the newest by less than `settled_below`, or at the last event;
    before that it changes nothing. With any other schedule no event waits.

    Source: You et al., 2020 (Early-Bird Tickets).
    """

    def __init__(self, options: PruneOptions, last_step: int) -> None:
        self._waiting = options.schedule == "early-bird"
        self._below, self._last_step = options.settled_below, last_step
        self._recent: list[Mask] = []
        self.settled = False  # whether the event has happened, so that none is left

    def decide(self, step: int, before: Mapping[str, Tensor], chosen: Selection) -> Selection:
        """Return the choice of an event, or one that keeps the live ones of `before` it."""
        if not self._waiting:
            return chosen
        self._recent = [*self._recent[1 - COMPARED :], Mask(chosen.live)]
        *others, newest = self._recent
        alike = len(self._recent) == COMPARED and all(
            distance(newest, other) < self._below for other in others
        )
        self.settled = alike or step >= self._last_step
        if self.settled:
            return chosen
        return Selection(dict(before), {n: torch.zeros_like(m) for n, m in before.items()})

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs."""
        return {"recent": [dict(mask) for mask in self._recent], "settled": self.settled}

    def load_state_dict(self, state: Mapping[str, Any], live: Mapping[str, Tensor]) -> None:
        """Go on where `state_dict` was taken, on the devices of `live`."""
        self.settled = bool(state.get("settled", False))
        self._recent = [
            Mask({n: mask.to(live[n].device) for n, mask in one.items()})
            for one in state.get("recent", ())
        ]
