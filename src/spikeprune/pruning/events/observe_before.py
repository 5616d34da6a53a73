"""Observations for an event: training batches just before it, or a whole loader at the event."""

import itertools
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from spikeprune.adapters.rest import reset
from spikeprune.errors import ConfigError, RunError
from spikeprune.execution.forward import Layout, forward
from spikeprune.measuring.filtered_inputs import FilteredInputs
from spikeprune.measuring.weight_operands import WeightOperands
from spikeprune.observing.observer import Observer, score_loader
from spikeprune.observing.potential_sums import ChannelStats
from spikeprune.pruning.criteria.inputs import Observations
from spikeprune.pruning.events.gradient_squares import GradientSquares
from spikeprune.pruning.events.layer_inputs import (
    FILTERED,
    filtered_inputs,
    with_filtered,
    with_operands,
)
from spikeprune.pruning.layer_patterns import matching
from spikeprune.pruning.needs import needs_of
from spikeprune.pruning.options import PruneOptions
from spikeprune.wiring.wiring import Wiring


class EventObserver:
    """Arms an observer for the steps before an event, or scores a loader at the event.

    `active` says whether events need observations, `on_training` whether these are made of training
    batches. Otherwise (`score_on="train-set"`) they are made of `batches`, called as `layout` says.
    """

    def __init__(
        self,
        model: nn.Module,
        options: PruneOptions,
        event_steps: tuple[int, ...],
        wiring: Wiring,
        *,
        time_steps: int,
        batches: Iterable[Any] | None,
        layout: Layout,
    ) -> None:
        needs = needs_of(options)
        self._model, self._options = model, options.criticality
        self._batches, self._layout, self._time_steps = batches, layout, time_steps
        self._wiring = wiring
        self._moments = "moments" in needs
        self.active = "potentials" in needs and event_steps[-1] > 0
        self.on_training = self.active and self._options.score_on == "train-batch"
        self._arming = frozenset(step - self._options.batches for step in event_steps if step)
        self._check(event_steps)
        self._observer: Observer | None = None
        self._operands: WeightOperands | None = None
        self._filtered: FilteredInputs | None = None
        squared = event_steps if "squared-gradients" in needs else ()
        self._squares = GradientSquares(squared, batches=options.gradient_batches)
        if self.active:  # also where a loader is scored: it refuses curves that cannot serve
            self._observer = Observer(
                model,
                self._options,
                time_steps=time_steps,
                train=True,
                moments=self._moments,
                wiring=wiring,
            )
            if "operands" in needs:
                self._operands = WeightOperands(model, wiring, train=self.on_training)
            if FILTERED & needs:
                pruned = matching(wiring.prunable, options.include, options.exclude)
                self._filtered = filtered_inputs(
                    needs, model, wiring, pruned, time_steps=time_steps, train=self.on_training
                )

    @property
    def _watchers(self) -> tuple[Observer | WeightOperands | FilteredInputs, ...]:
        found = (self._observer, self._operands, self._filtered)
        return tuple(watcher for watcher in found if watcher is not None)

    def _check(self, event_steps: tuple[int, ...]) -> None:
        window = self._options.batches
        steps = (0, *(step for step in event_steps if step))
        gap = min((b - a for a, b in itertools.pairwise(steps)), default=window)
        if self.on_training and window > gap:
            raise ConfigError(
                f"criticality.batches = {window} does not fit between events that are {gap} "
                "steps apart; use fewer batches or a larger `every`"
            )
        if self.active and not self.on_training and self._batches is None:
            raise ConfigError(
                "criticality.score_on='train-set' needs score_batches, a loader of clean training "
                "data; pass it to Pruner, or use score_on='train-batch'"
            )

    def arm_if_due(self, steps: int) -> None:
        """Start to observe if the window of batches before the next event begins now."""
        if self.on_training and steps in self._arming:
            for watcher in self._watchers:
                watcher.arm()

    def take_gradients(self, step: int, parameters: Mapping[str, nn.Parameter]) -> None:
        """Square the gradients of the coming step if an event soon after it needs them."""
        self._squares.take(step, parameters)

    def disarm(self) -> None:
        """Stop observing and free every neuron and layer."""
        for watcher in self._watchers:
            watcher.disarm()

    def observations(
        self, gradients: Mapping[str, Tensor], generator: torch.Generator
    ) -> Observations:
        """Return what the due event may look at, over all processes, and disarm. Collective."""
        seen = Observations(generator, gradients=gradients, squares=self._squares.mean())
        if self._observer is None:
            return seen
        if self.on_training:
            self.disarm()
            stats = self._observer.compute(over_ranks=True)
        else:
            with self._operands or nullcontext(), self._filtered or nullcontext():
                stats = self._score_loader()
        return with_operands(
            with_filtered(replace(seen, stats=stats), self._filtered), self._operands
        )

    def _score_loader(self) -> dict[str, ChannelStats]:
        assert self._batches is not None
        stats = score_loader(
            self._model,
            self._batches,
            self._options,
            time_steps=self._time_steps,
            forward=lambda x: forward(
                self._model, x, time_steps=self._time_steps, layout=self._layout
            ),
            moments=self._moments,
            over_ranks=True,
            wiring=self._wiring,
        )
        reset(self._model)  # the next training batch starts from rest
        return stats

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of an unfinished window of batches."""
        state = {} if self._observer is None else self._observer.state_dict()
        squares = self._squares.state_dict()
        if squares["taken"]:
            state |= {"squares": squares}
        if self._operands is not None:
            state |= {"reads": self._operands.state_dict()}
        if self._filtered is not None:
            state |= {"filtered": self._filtered.state_dict()}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        parameters = dict(self._model.named_parameters())
        self._squares.load_state_dict(state.get("squares", {}), parameters)
        if self._observer is not None:
            self._observer.load_state_dict(state)
        if self._operands is not None:
            if "reads" not in state:
                raise RunError(
                    "the checkpoint lacks the operands counted for the budget of operations: an "
                    "older version wrote it; go on with that version, or start anew in another "
                    "folder"
                )
            self._operands.load_state_dict(state["reads"])
        if self._filtered is not None:
            self._filtered.load_state_dict(state["filtered"])
