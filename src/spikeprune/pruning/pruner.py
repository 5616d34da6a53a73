"""The one stateful object: `Pruner` keeps masks, counts steps, arms itself and runs the events."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Self

import torch
from torch import Tensor, nn

from spikeprune.distributed.collectives import require_same, require_same_tensors
from spikeprune.distributed.data_parallel import inner_model, inner_optimizer
from spikeprune.errors import RunError
from spikeprune.pruning.channels.channel_masks import ChannelMasks
from spikeprune.pruning.criteria.at_initialization import Loss, Passes
from spikeprune.pruning.criteria.inputs import Observations
from spikeprune.pruning.events import sparse_start as beginning
from spikeprune.pruning.events.dense_gradients import DenseGradients
from spikeprune.pruning.events.observe_before import EventObserver
from spikeprune.pruning.events.record import EventRecord, Outcome, record_event, survived
from spikeprune.pruning.events.schedule import refuse_foreign, timetable
from spikeprune.pruning.mask_keeper import MaskKeeper
from spikeprune.pruning.optimizer_state import reset_state
from spikeprune.pruning.options import PruneOptions, needs
from spikeprune.pruning.weights.weight_masks import WeightMasks
from spikeprune.science.masks import apply_
from spikeprune.wiring.trace import trace

_SETTINGS = "give every rank as many batches, and the pruner the same settings"
_DIVERGED = "weights or gradients must differ, too; is DistributedDataParallel around the net?"


class Pruner:
    """Prunes a model while the user's own loop trains it (method, sections 3 and 4).

    Call `step()` after every `optimizer.step()`, and `begin()` before the first one where the net
    starts sparse. Parameter objects, their names and the state_dict keys stay the user's: masks
    live here. `compact` cuts what is dead when training is over. A `with` block closes the pruner.

    Args:
        model: a spiking net of a supported framework, or DistributedDataParallel around one.
        optimizer: the optimiser that trains it, or Accelerate's wrapper; its state of pruned
            weights is kept consistent.
        example: one slice of input, `[B, C, H, W]` or `[B, F]` (values do not matter).
        time_steps: T of every forward.
        total_steps: optimiser steps of the pruning phase.
        score_batches: inputs (or `(input, target)` pairs) scored when the criticality option
            `score_on` is `train-set`; iterated once per event.
        layout: how the model is called on them, see `execution.forward`.
        seed: of random saliency and regrowth.
        events_at: events after these optimiser steps instead of every `every` (weights only).
        dense_synops: SynOps per sample of the dense net by layer, of which a budget of SynOps is a
            share. None: of what this net would take at the event if everything lived.
        options: fields of `PruneOptions`; `sparsity` has no default.

    Attributes:
        mask: what lives, by parameter name (bool).
        density: live share of the prunable weights of the original net.
        macs_density: the same share, each layer weighted by its dense MACs.
        events: the record of what every event did.
        last_scores: criticality [C] by neuron at the last event.
        wiring: which weights feed which neurons.
        event_steps: after which optimiser steps an event happens.
        start_passes: what `begin` measured, in training steps of one sample.

    Raises:
        ConfigError: unknown or impossible options, a schedule with no event.
        ModelError: no spiking neuron, or neurons nobody can observe.
        BudgetError: limits or floors that exceed the budget.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        example: Tensor,
        *,
        time_steps: int,
        total_steps: int,
        score_batches: Iterable[Any] | None = None,
        layout: str = "sequence",
        seed: int = 0,
        events_at: Iterable[int] | None = None,
        dense_synops: Mapping[str, float] | None = None,
        **options: Any,
    ) -> None:
        self.options = PruneOptions.of(**options)
        model, optimizer = inner_model(model), inner_optimizer(optimizer)
        self.model, self.optimizer, self.example = model, optimizer, example
        self.time_steps, self.layout = time_steps, layout
        require_same("total_steps, time_steps, seed", (total_steps, time_steps, seed), _SETTINGS)
        self.wiring = trace(model, example)
        kind = WeightMasks if self.options.granularity == "weight" else ChannelMasks
        self.granularity = kind(model, example, self.wiring, self.options, time_steps, dense_synops)
        self._timetable = timetable(self.options, total_steps, at=events_at)
        self.event_steps = tuple(self._timetable)
        self.granularity.check()
        self.steps, self.start_passes = 0, 0.0
        self.events: list[EventRecord] = []
        self.last_scores: dict[str, Tensor] = {}
        self._regrown: dict[str, Tensor] = {}
        self._generator = torch.Generator().manual_seed(seed)
        self._scorer = EventObserver(
            *(model, self.options, self.event_steps, self.wiring),
            time_steps=time_steps,
            batches=score_batches,
            layout=layout,
        )
        self._needs_gradient = needs(self.options).gradient
        self._begun = 0 not in self._timetable
        self._count()
        self._parameters = {n: p for n, p in model.named_parameters() if n in self.mask}
        self._upkeep = MaskKeeper(optimizer, self._parameters, self._capturing)
        self._gate = DenseGradients(
            *(self._parameters, optimizer),
            capturing=self._capturing,
            then=(self._upkeep.before_step, self._penalise),
        )
        self._scorer.arm_if_due(0)

    # -- what the user calls -----------------------------------------------------------------

    def begin(
        self, batches: Iterable[tuple[Tensor, Tensor]] | None = None, loss: Loss | None = None
    ) -> EventRecord | None:
        """Make a net sparse before its first step; None where it starts dense.

        Args:
            batches: pairs of input and target; the first `criticality.batches` are used.
            loss: logits `[T, B, K]` and targets to a scalar.

        Raises:
            ConfigError: something is to be measured, but no batches or no loss were given.
        """
        if self._begun:
            return None
        self._scorer.disarm()
        due, before = self._timetable[0], dict(self.granularity.live)
        chosen = beginning.first(batches, self.options.criticality.batches)
        where = (self.model, tuple(before), self.example, self.time_steps, self.layout)
        passes = Passes(*where, chosen, loss)
        self.start_passes = beginning.passes_taken(passes, due.options)
        how = (self._scorer.how, self.wiring, self._generator)
        for part, gathered in beginning.gathered(passes, due, *how):
            with torch.no_grad():
                outcome = self.granularity.event(part, gathered)
                self._apply(outcome)
        self._begun = True
        self._scorer.arm_if_due(0)
        return self._record(before, outcome)

    def step(self) -> EventRecord | None:
        """Count one optimiser step, keep dead weights at 0 and run the event that is due, if any.

        Returns:
            The event, or None in an ordinary step.

        Raises:
            ObservationError: the forwards before an event were not observed as they must be.
            RunError: scores that are not numbers, a gradient that an event needs and that the
                optimiser never saw, or a net that starts sparse and was not begun. The pruner is
                closed after an error of an event.
        """
        if not self._begun:
            raise RunError("the net starts sparse: call pruner.begin() before the first step")
        self.steps += 1
        self._upkeep.after_step()
        event = None
        if self.steps in self._timetable:
            try:
                event = self._run_event()
            except BaseException:
                self.close()
                raise
        self._scorer.arm_if_due(self.steps)
        return event

    def close(self) -> None:
        """Remove every hook and stop observing; masks and the record of events stay."""
        self._scorer.disarm()
        self._upkeep.close()
        self._gate.close()

    def check(self) -> None:
        """Refuse if a dead weight is not 0; every event does this.

        Raises:
            RunError: it is not.
        """
        self._upkeep.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def scores_loader(self) -> bool:
        """Whether events score a whole loader, which costs forward passes of its own."""
        return self._scorer.active and not self._scorer.on_training

    @property
    def finished(self) -> bool:
        """Whether the last event has passed."""
        return self.steps >= self.event_steps[-1]

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs, as a tree of tensors and plain values.

        Taken between `step()` and the next forward.
        """
        return {
            "event_steps": list(self.event_steps),
            "steps": self.steps,
            "events": [asdict(event) for event in self.events],
            "live": dict(self.granularity.live),
            "memory": dict(self.granularity.memory),
            "regrown": dict(self._regrown),
            "scores": dict(self.last_scores),
            "generator": self._generator.get_state(),
            "observed": self._scorer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; model and optimiser are loaded by the caller.

        Raises:
            RunError: the state is of a pruner of other layers or events.
        """
        live: dict[str, Tensor] = self.granularity.live
        refuse_foreign(state, live, self.event_steps)
        self.steps = int(state["steps"])
        self.events = [EventRecord(**event) for event in state["events"]]
        self._regrown = {n: t.to(live[n].device) for n, t in state["regrown"].items()}
        self.granularity.live = {  # laid out as the weights, which is quicker
            n: torch.empty_like(mask).copy_(state["live"][n]) for n, mask in live.items()
        }
        remembered = state.get("memory", {})  # states of older versions have none
        self.granularity.memory = {n: t.to(live[n].device) for n, t in remembered.items()}
        self._begun = self._begun or bool(self.events)
        self.last_scores = dict(state["scores"])
        self._generator.set_state(state["generator"])
        self._count()
        self._upkeep.mask_with(self.mask, trusted=False)
        self._scorer.load_state_dict(state["observed"])

    # -- every step --------------------------------------------------------------------------

    def _capturing(self) -> bool:
        """Whether the coming event needs the dense gradient, which is then masked only later."""
        return self._needs_gradient and self.steps + 1 in self._timetable

    def _penalise(self) -> None:
        if not self.finished:
            self.granularity.penalise()

    def _count(self) -> None:
        self.mask = self.granularity.parameter_mask()
        self.density = self.granularity.density()
        self.macs_density = self.granularity.macs_density()

    # -- events ------------------------------------------------------------------------------

    @torch.no_grad()
    def _run_event(self) -> EventRecord:
        gradients = self._gate.take(needed=self._needs_gradient)
        self._upkeep.check()
        stats = self._scorer.score()
        if stats is not None:
            self.last_scores = {name: s.score.detach().cpu() for name, s in stats.items()}
        before = dict(self.granularity.live)
        reads = self._scorer.reads(stats)
        gathered = Observations(stats or {}, gradients, self._generator, reads=reads)
        outcome = self.granularity.event(self._timetable[self.steps], gathered)
        self._apply(outcome)
        return self._record(before, outcome)

    def _record(self, before: Mapping[str, Tensor], outcome: Outcome) -> EventRecord:
        require_same_tensors(f"the masks after step {self.steps}", self.mask, _DIVERGED)
        if self.events:
            self.events[-1] = survived(self.events[-1], self._regrown, outcome.kept)
        self._regrown = outcome.regrown
        number = (len(self.events) + 1, len(self.event_steps))
        event = record_event(number, self.steps, self.density, before=before, outcome=outcome)
        self.events.append(event)
        return event

    def _apply(self, outcome: Outcome) -> None:
        """Silence what died; what came back starts anew."""
        self._count()
        kept = self.mask  # a channel that comes back keeps its trained values and their momentum
        if self.options.granularity == "weight":
            kept = self.granularity.parameter_mask(outcome.kept)
        zero = self.options.initial_value == "zero"
        apply_(self._parameters, kept if zero else self.mask)
        reset_state(self.optimizer, self._parameters, kept)
        self._upkeep.mask_with(self.mask, trusted=True)
