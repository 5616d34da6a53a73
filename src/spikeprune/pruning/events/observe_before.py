"""What is observed for an event, and when: training batches just before it, or a loader."""

import itertools
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any

from torch import Tensor, nn

from spikeprune.adapters.registry import adapter_for
from spikeprune.errors import ConfigError, RunError
from spikeprune.execution.forward import forward
from spikeprune.measuring.weight_operands import WeightOperands
from spikeprune.observing.observer import Observer, score_loader
from spikeprune.observing.potential_sums import ChannelStats
from spikeprune.pruning.options import PruneOptions, needs
from spikeprune.wiring.wiring import Wiring


class EventObserver:
    """Arms an observer for the steps before an event, or scores a loader at the event.

    Args:
        model: the net.
        options: what is observed, and whether anything is.
        event_steps: after which optimiser steps events happen.
        wiring: of the net.
        time_steps: T of every forward.
        batches: for `score_on="train-set"`, inputs or pairs of input and target.
        layout: how the model is called on them.

    Raises:
        ConfigError: a window of batches longer than the gap between events, or no loader where
            one is needed.
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
        layout: str,
    ) -> None:
        c = options.criticality
        self._model, self._batches, self._window = model, batches, c.batches
        self._layout, self._time_steps = layout, time_steps
        wanted = needs(options)
        self.how: dict[str, Any] = {
            "time_steps": time_steps,
            "curve": c.curve,
            "value": c.value,
            "space": c.space,
            "time": c.time,
            "moments": wanted.moments,
        }
        self.active = wanted.potentials and event_steps[-1] > 0
        self.on_training = self.active and c.score_on == "train-batch"
        self._arming = frozenset(step - self._window for step in event_steps if step)
        self._check(event_steps)
        # Made even where a loader is scored, to refuse curves that cannot serve before training.
        self._observer = Observer(model, train=True, **self.how) if self.active else None
        counts = self.active and wanted.reads
        self._reads = WeightOperands(model, wiring, train=self.on_training) if counts else None

    def _check(self, event_steps: tuple[int, ...]) -> None:
        steps = (0, *(step for step in event_steps if step))
        gap = min((b - a for a, b in itertools.pairwise(steps)), default=self._window)
        if self.on_training and self._window > gap:
            raise ConfigError(
                f"criticality.batches = {self._window} does not fit between events that are {gap} "
                "steps apart; use fewer batches or a larger `every`"
            )
        if self.active and not self.on_training and self._batches is None:
            raise ConfigError(
                "criticality.score_on='train-set' needs score_batches, a loader of clean training "
                "data; pass it to Pruner, or use score_on='train-batch'"
            )

    def arm_if_due(self, steps: int) -> None:
        """Start to observe if the next event is as many steps away as batches are scored."""
        if self.on_training and steps in self._arming:
            assert self._observer is not None
            self._observer.arm()
            if self._reads is not None:
                self._reads.arm()

    def disarm(self) -> None:
        """Stop observing and let go of every neuron and layer."""
        for watcher in (self._observer, self._reads):
            if watcher is not None:
                watcher.disarm()

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of a window of batches that is under way."""
        state = {} if self._observer is None else self._observer.state_dict()
        return state if self._reads is None else state | {"reads": self._reads.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            RunError: it was taken without the counts that a budget of SynOps needs.
        """
        if self._observer is not None:
            self._observer.load_state_dict(state)
        if self._reads is not None:
            if "reads" not in state:
                raise RunError(
                    "the checkpoint lacks the operands counted for the budget of synops: an older "
                    "version wrote it; go on with that version, or start anew in another folder"
                )
            self._reads.load_state_dict(state["reads"])

    def score(self) -> dict[str, ChannelStats] | None:
        """Return criticality and firing rate per neuron for the event that is due, and disarm.

        They are those of all processes together, where several train.
        """
        if self._observer is None:
            return None
        if self.on_training:
            self.disarm()
            return self._observer.compute(over_ranks=True)
        assert self._batches is not None
        with self._reads or nullcontext():
            return self._score_loader(self._batches)

    def _score_loader(self, batches: Iterable[Any]) -> dict[str, ChannelStats]:
        stats = score_loader(
            self._model,
            batches,
            forward=lambda x: forward(
                self._model, x, time_steps=self._time_steps, layout=self._layout
            ),
            over_ranks=True,
            **self.how,
        )
        adapter_for(self._model).reset(self._model)  # the next training batch starts from rest
        return stats

    def reads(self, stats: Mapping[str, ChannelStats] | None) -> dict[str, Tensor]:
        """Return what the layers read in the batches of `score`, by layer; empty unless needed."""
        if self._reads is None or stats is None:
            return {}
        return self._reads.compute(next(iter(stats.values())).samples)
