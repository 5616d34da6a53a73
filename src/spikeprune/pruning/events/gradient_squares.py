"""Mean square of the gradients of the training steps before an event."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from spikeprune.errors import ConfigError, ModelError, RunError

BATCHES = 10
"""Training steps before an event whose gradients are squared, where nothing else is asked for."""


@final
class GradientSquares:
    """Averages `g^2` of every weight over the last optimiser steps up to each event.

    `g` is the gradient that the optimiser gets, of the mean loss of a batch over all T; that of a
    dead weight counts as it is masked. The steps are those of the training, so this costs no pass
    of its own.

    Args:
        event_steps: optimiser steps after which the events happen; 0 is left out. Where
            there are none, nothing is squared.
        batches: steps before each event; None: `BATCHES`, or the steps between two events where
            they are fewer.

    Raises:
        ConfigError: more batches than steps between two events.
    """

    def __init__(self, event_steps: Iterable[int], *, batches: int | None) -> None:
        self._events = tuple(step for step in event_steps if step)
        gaps = [b - a for a, b in itertools.pairwise((0, *self._events))]
        gap = min(gaps, default=BATCHES)
        if self._events and batches is not None and batches > gap:
            raise ConfigError(
                f"gradient_batches = {batches} does not fit between events that are {gap} steps "
                "apart; use fewer batches or a larger `every`"
            )
        self._window = min(BATCHES, gap) if batches is None else batches
        self._sums: dict[str, Tensor] = {}
        self._taken: list[int] = []  # the steps that were taken since the last event

    def take(self, step: int, parameters: Mapping[str, nn.Parameter]) -> None:
        """Add the gradients of the coming step if an event follows soon; a step counts once.

        Raises:
            ModelError: a parameter without a gradient.
        """
        soon = any(event - self._window < step <= event for event in self._events)
        if not soon or step in self._taken:
            return
        for name, parameter in parameters.items():
            if parameter.grad is None:
                raise ModelError(
                    f"{name!r} got no gradient, so its weights cannot be ranked by it; exclude the "
                    "layer, or train it"
                )
            gradient = parameter.grad.detach()
            square = gradient.to(torch.promote_types(gradient.dtype, torch.float32)).square()
            self._sums[name] = self._sums[name] + square if name in self._sums else square
        self._taken.append(step)

    def mean(self) -> dict[str, Tensor]:
        """Return the mean of `g^2` by parameter name, and start anew.

        Raises:
            RunError: the optimiser did not step in every step of the window.
        """
        sums, taken = self._sums, len(self._taken)
        self._sums, self._taken = {}, []
        if not self._events:
            return {}
        if taken != self._window:
            raise RunError(
                f"the event needs the gradients of {self._window} steps, but the optimiser made "
                f"{taken} of them; call optimizer.step() before pruner.step(), and neither where a "
                "step is skipped"
            )
        return {name: total / taken for name, total in sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, as tensors and numbers."""
        return {"sums": dict(self._sums), "taken": list(self._taken)}

    def load_state_dict(
        self, state: Mapping[str, Any], parameters: Mapping[str, nn.Parameter]
    ) -> None:
        """Go on where `state_dict` was taken; states of older versions are empty."""
        self._sums = {n: t.to(parameters[n].device) for n, t in state.get("sums", {}).items()}
        self._taken = [int(step) for step in state.get("taken", [])]
