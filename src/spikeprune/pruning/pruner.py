"""The one stateful object: `Pruner` keeps masks, counts steps, arms itself and runs the events."""

import itertools
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Self, Unpack, cast

import torch
from torch import Tensor, nn

from spikeprune.distributed.collectives import require_same, require_same_tensors
from spikeprune.distributed.data_parallel import inner_model, inner_optimizer
from spikeprune.errors import ConfigError, ModelError, RunError
from spikeprune.execution.forward import Layout
from spikeprune.execution.last_call import LastCall
from spikeprune.execution.sound_weights import require_sound
from spikeprune.pruning.at_work import at_work_on, begin_work, end_work, refuse_second
from spikeprune.pruning.averaged_copies import apply_to, notes_on_averages
from spikeprune.pruning.channels.channel_masks import ChannelMasks
from spikeprune.pruning.criteria.at_initialization import InitialNet, Loss
from spikeprune.pruning.events.early_bird import EarlyBird
from spikeprune.pruning.events.observe_before import EventObserver
from spikeprune.pruning.events.schedule import planned_events
from spikeprune.pruning.events.sparse_start import check_start, cost_at_start, rounds_at_start
from spikeprune.pruning.granularity import Granularity
from spikeprune.pruning.mask_keeper import MaskKeeper, warned_of_dead_layers
from spikeprune.pruning.methods import options_for
from spikeprune.pruning.needs import needs_of
from spikeprune.pruning.neurons_needed import NO_NEURON, lacks_neurons, other_layout
from spikeprune.pruning.optimizer_state import reset_state
from spikeprune.pruning.optimizer_watch import OptimizerWatch, require_held, require_in_place
from spikeprune.pruning.options import PruneOptions, PruneOverrides
from spikeprune.pruning.saved_state import moved, refuse_foreign, restored
from spikeprune.pruning.selection import EventRecord, Selection, record_event, with_survival
from spikeprune.pruning.weights.weight_masks import WeightMasks
from spikeprune.pruning.without_effect import notes_on
from spikeprune.science.masks import apply_
from spikeprune.wiring.trace import trace

_MASKS: dict[str, type[WeightMasks | ChannelMasks]]
_MASKS = {"weight": WeightMasks, "channel": ChannelMasks}
_COMPLETE = (
    "options are complete; leave out sparsity, method and single options, or leave out options"
)
_SETTINGS = "give every rank as many batches, and the pruner the same settings"
_DIVERGED = "weights or gradients must differ, too; is DistributedDataParallel around the net?"


class Pruner:
    """Prunes a model while the user's own loop trains it (method, sections 3 and 4).

    Call `step()` after every `optimizer.step()`, and `begin()` before the first one where the net
    starts sparse. Parameter objects, their names and the state_dict keys stay; the pruner holds
    the masks. `compact` cuts dead weights out after training. A `with` block closes the pruner.

    Args:
        model: a spiking net of any framework or none, or DistributedDataParallel around one; the
            notes say what of it could not be mapped.
        optimizer: the optimiser that trains it, or Accelerate's wrapper; its state of pruned
            weights is kept consistent.
        example: one slice of input, `[B, C, *space]` or `[B, F]` (values do not matter), or a batch
            as the model takes it (layout `batch`, or a function).
        time_steps: T of every forward.
        total_steps: optimiser steps of the pruning phase.
        training_steps: optimiser steps of the whole training; needed where regrowth goes on to its
            end (`regrow_until="training"`).
        sparsity: share of the weights (or of the budget) to remove, in (0, 1); no default.
        method: a name that `spikeprune methods` lists; `auto`, the default of the command line
            too, is `criticality-ranked` for weights, `criticality-erk` under a budget of SynOps
            and `criticality` for channels; `magnitude` where no neuron can be observed.
        options: complete options instead of `sparsity`, `method` and single ones.
        score_batches: inputs (or `(input, target)` pairs) scored when the criticality option
            `score_on` is `train-set`; iterated once per event.
        layout: how the model is called: `sequence`, `step`, `batch`, or a function of model and
            batch that returns the logits, see `toolbox.forward`. None: found by trying.
        seed: of random saliency and regrowth.
        events_at: optimiser steps after which events happen, instead of every `every` (weights).
        dense_synops: synaptic operations per sample of the dense net, by layer: with
            `budget="synops"` the target is relative to their sum. None: it is relative to the cost
            of the current net with every weight live.
        overrides: fields of `PruneOptions` that go before the method's own.

    Attributes:
        options: the complete options.
        parameters: the parameters that are pruned, by name.
        mask: live weights by parameter name (bool).
        density: live share of the prunable weights of the original net.
        live_macs: multiply-accumulates of the live part by layer, per sample and time step.
        events: the record of every event.
        last_scores: criticality [C] by neuron at the last event.
        last_regrown: bool by layer or channel group, what the last event brought back.
        wiring: which weights feed which neurons.
        notes: sentences on what is not mapped, pruned, counted or live, options without effect.
        event_steps: optimiser steps after which an event happens.
        start_cost: cost of the measurements of `begin`, in training steps of one sample.

    Raises:
        ConfigError: unknown or impossible options, a schedule with no event, an optimiser that
            does not hold what is pruned, another pruner that is at work on the model.
        ModelError: no spiking neuron, neurons that cannot be observed, weights that are not finite.
        BudgetError: limits or floors that exceed the budget.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        example: Any,
        *,
        time_steps: int,
        total_steps: int,
        training_steps: int | None = None,
        sparsity: float | None = None,
        method: str = "auto",
        options: PruneOptions | None = None,
        score_batches: Iterable[Any] | None = None,
        layout: Layout | None = None,
        seed: int = 0,
        events_at: Iterable[int] | None = None,
        dense_synops: Mapping[str, float] | None = None,
        **overrides: Unpack[PruneOverrides],
    ) -> None:
        complete = options is not None
        if options is None:
            options = options_for(method, sparsity=sparsity, **overrides)
        elif sparsity is not None or method != "auto" or overrides:
            raise ConfigError(_COMPLETE)
        model, optimizer = inner_model(model), inner_optimizer(optimizer)
        refuse_second(model)
        require_sound(model)
        require_same("total_steps, time_steps, seed", (total_steps, time_steps, seed), _SETTINGS)
        self.wiring = trace(model, example, time_steps=time_steps, layout=layout)
        self.notes = self.wiring.notes
        if lacks_neurons(options, self.wiring):
            hint = other_layout(model, example, time_steps=time_steps, layout=layout)
            if complete or method != "auto" or {"regrow", "saliency"} & overrides.keys():
                raise ModelError(hint or NO_NEURON.format(self.notes[0]))
            self.notes += (hint,) * bool(hint)
            options = options_for("magnitude", sparsity=sparsity, **overrides)
        self.options, self.notes = options, self.notes + notes_on(options, overrides)
        self.model, self.optimizer, self.example = model, optimizer, example
        self.time_steps, self.layout = time_steps, (layout := self.wiring.layout)
        self.granularity: Granularity = _MASKS[options.granularity](
            model,
            self.wiring,
            options,
            example=example,
            time_steps=time_steps,
            dense_synops=dense_synops,
        )
        self.notes += self.granularity.notes
        self._planned = planned_events(
            options, total_steps, training_steps=training_steps, at=events_at
        )
        steps = self.event_steps = tuple(self._planned)
        self.granularity.check()
        self.steps, self.start_cost = 0, 0.0
        self.events: list[EventRecord] = []
        self.last_scores: dict[str, Tensor] = {}
        self.last_regrown: dict[str, Tensor] = {}
        self._generator = torch.Generator().manual_seed(seed)
        self._observer = EventObserver(
            model,
            options,
            steps,
            self.wiring,
            time_steps=time_steps,
            batches=score_batches,
            layout=layout,
        )
        self._needs_gradient = "gradient" in needs_of(options)
        live = tuple(self.granularity.live)
        self._initial_net = partial(InitialNet, model, live, example, time_steps, layout=layout)
        self._begun = 0 not in self._planned
        if not self._begun:
            check_start(self._initial_net(), self._planned[0], self.wiring)
        self._early_bird = EarlyBird(options, self.event_steps[-1])
        self._count()
        self._attach()
        self._observer.arm_if_due(0)
        begin_work(self)

    @classmethod
    def of(cls, model: nn.Module) -> "Pruner | None":
        """Return the pruner at work on a model; None if there is none, or it is closed."""
        return cast("Pruner | None", at_work_on(inner_model(model)))

    def _attach(self) -> None:
        """Hook into the gradients of the pruned parameters and the optimiser's step."""
        self.parameters = {n: p for n, p in self.model.named_parameters() if n in self.mask}
        self.notes += require_held(self.optimizer, self.parameters)
        self.last_call = LastCall.of(self.model)
        self._watch = OptimizerWatch(self.optimizer, self.parameters)
        self._keeper = MaskKeeper(
            self.optimizer,
            self.parameters,
            dense=self._capturing,
            penalise=self._penalise,
            before=lambda: self._observer.take_gradients(self.steps + 1, self.parameters),
        )
        self._latent = self.granularity.train_latent(self.optimizer, self.event_steps[-1])

    def begin(
        self, batches: Iterable[tuple[Tensor, Tensor]] | None = None, loss: Loss | None = None
    ) -> EventRecord | None:
        """Make a net sparse before its first step; None where it starts dense.

        Args:
            batches: pairs of input and target; the first `criticality.batches` are used.
            loss: logits `[T, B, K]` and targets to a scalar.

        Raises:
            ConfigError: a measurement needs batches or a loss that were not given.
        """
        if self._begun:
            return None
        self._observer.disarm()
        planned, before = self._planned[0], dict(self.granularity.live)
        first = tuple(itertools.islice(batches or (), self.options.criticality.batches))
        net = self._initial_net(batches=first, loss=loss)
        self.start_cost = cost_at_start(net, planned.options)
        for part, seen in rounds_at_start(net, planned, self.wiring, self._generator):
            with torch.no_grad():
                selection = self.granularity.event(part, seen)
                self._apply(selection)
        self._begun = True
        self._observer.arm_if_due(0)
        return self._record(before, selection)

    def step(self) -> EventRecord | None:
        """Count one optimiser step, keep dead weights at 0 and run the event that is due, if any.

        Returns:
            The event, or None in an ordinary step.

        Raises:
            ObservationError: the forwards before an event were not observed as they must be.
            RunError: scores that are not numbers, a gradient that an event needs and that the
                optimiser never saw, a net that starts sparse and was not begun, another optimiser
                that trains, or parameters that were replaced. The pruner is closed after an error.
        """
        if not self._begun:
            raise RunError("the net starts sparse: call pruner.begin() before the first step")
        self.steps += 1
        try:
            self._require_unchanged()
            self._keeper.after_step()
            due = self.steps in self._planned and not self._early_bird.settled
            event = self._run_event() if due else None
        except BaseException:
            self.close()
            raise
        if not self.finished:
            self._observer.arm_if_due(self.steps)
        return event

    def close(self) -> None:
        """Remove every hook and stop observing; masks and the record of events stay."""
        self._observer.disarm()
        self.last_call.close()
        self._keeper.close()
        self._latent.close()
        self._watch.close()
        end_work(self)

    def apply_to(self, copy: nn.Module) -> None:
        """Set the dead weights of a copy of the net to 0, such as an average of its weights (EMA).

        Raises:
            ModelError: `copy` has other parameters, or other shapes, than the net before its cut.
        """
        apply_to(copy, self.mask)

    def check(self) -> None:
        """Refuse if a dead weight is not 0; every event does this.

        Raises:
            RunError: it is not.
        """
        self._keeper.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def scores_loader(self) -> bool:
        """Whether events score a whole loader, which costs forward passes of its own."""
        return self._observer.active and not self._observer.on_training

    @property
    def finished(self) -> bool:
        """Whether the last event has passed."""
        return self._early_bird.settled or self.steps >= self.event_steps[-1]

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs, as a tree of tensors and plain values.

        Take it between `step()` and the next forward.
        """
        return {
            "event_steps": list(self.event_steps),
            "steps": self.steps,
            "events": [event.to_dict() for event in self.events],
            "live": dict(self.granularity.live),
            "memory": dict(self.granularity.last_magnitude),
            "regrown": dict(self.last_regrown),
            "scores": dict(self.last_scores),
            "generator": self._generator.get_state(),
            "early_bird": self._early_bird.state_dict(),
            "latent": self._latent.state_dict(),
            "observed": self._observer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; the caller loads model and optimiser.

        Raises:
            RunError: the state is of a pruner of other layers or events.
        """
        live = self.granularity.live
        refuse_foreign(state, live, self.event_steps)
        self.steps = int(state["steps"])
        self.events = [EventRecord.from_dict(event) for event in state["events"]]
        self.last_regrown = moved(state["regrown"], live)
        self.granularity.live = restored(state["live"], live)
        self._early_bird.load_state_dict(state.get("early_bird", {}), live)
        self.granularity.last_magnitude = moved(state.get("memory", {}), live)
        self._begun = self._begun or bool(self.events)
        self.last_scores = dict(state["scores"])
        self._generator.set_state(state["generator"])
        self._count()
        self._latent.load_state_dict(state.get("latent", {}), self.granularity.live)
        if not self._latent.active:
            self._keeper.mask_with(self.mask, trusted=False)
        self._observer.load_state_dict(state["observed"])

    def _require_unchanged(self) -> None:
        """Refuse another optimiser and replaced parameters, while an event is to come."""
        if self.steps <= self.event_steps[-1]:
            self._watch.require_own()
            if self.steps == 1 or self.steps in self._planned:
                require_in_place(self.model, self.parameters, self.mask)

    def _capturing(self) -> bool:
        """Whether the coming event needs the dense gradient, which is then masked only later."""
        return self._needs_gradient and self.steps + 1 in self._planned and not self.finished

    def _penalise(self) -> None:
        if not self.finished:
            self.granularity.penalise()

    def _count(self) -> None:
        self.mask = self.granularity.parameter_mask()
        self.density = self.granularity.density()
        self.live_macs = self.granularity.live_macs()

    @torch.no_grad()
    def _run_event(self) -> EventRecord:
        gradients = self._keeper.dense_gradients() if self._needs_gradient else {}
        self._keeper.check()
        seen = self._observer.observations(gradients, self._generator)
        if seen.stats:
            self.last_scores = {name: s.score.detach().cpu() for name, s in seen.stats.items()}
        before = dict(self.granularity.live)
        chosen = self.granularity.event(self._planned[self.steps], seen)
        selection = self._early_bird.decide(self.steps, before, chosen)
        self.granularity.live = selection.live
        self._apply(selection)
        self.notes += notes_on_averages(self.model, self.mask) if self.finished else ()
        return self._record(before, selection)

    def _apply(self, selection: Selection) -> None:
        """Set dropped weights to 0; regrown ones start as `initial_value` says."""
        before, followed = self.mask, self._latent.active
        self._count()
        for layer, values in selection.values.items():
            self.parameters[f"{layer}.weight"].copy_(values)
        self._latent.decided(self.granularity.live, last=self.finished)
        if self._latent.active:  # it keeps dead weights at 0, and their momentum
            return
        same, how = self.granularity.unchanged(selection), self.options.initial_value
        if followed or how == "unchanged":  # a dead latent weight is trained, too
            same = self.mask if followed else before & self.mask
        apply_(self.parameters, same if how == "zero" else self.mask)
        reset_state(self.optimizer, self.parameters, same)
        self._keeper.mask_with(self.mask, trusted=True)

    def _record(self, before: Mapping[str, Tensor], selection: Selection) -> EventRecord:
        require_same_tensors(f"the masks after step {self.steps}", self.mask, _DIVERGED)
        self.notes += warned_of_dead_layers(self.mask, known=self.notes)
        if self.events:
            self.events[-1] = with_survival(self.events[-1], self.last_regrown, selection.kept)
        self.last_regrown = selection.regrown
        number = (len(self.events) + 1, len(self.event_steps))
        event = record_event(number, self.steps, self.density, before=before, selection=selection)
        self.events.append(event)
        return event
