"""The one stateful object: `Pruner` keeps masks, counts steps, arms itself and runs the events."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from spikeprune.engine.event import Event, Outcome, record_event, survived
from spikeprune.engine.granularity import Channels, Weights
from spikeprune.engine.growth import needs_gradient
from spikeprune.engine.optimizer_state import reset_state
from spikeprune.engine.options import PruneOptions
from spikeprune.engine.parallel import inner_model, inner_optimizer
from spikeprune.engine.ranks import require_same, require_same_tensors
from spikeprune.engine.scoring import Scorer
from spikeprune.engine.upkeep import Upkeep
from spikeprune.engine.wiring import trace
from spikeprune.errors import ModelError, RunError
from spikeprune.science.masks import apply_
from spikeprune.science.schedule import density_at, event_steps

__all__ = ["Pruner"]

_SETTINGS = "give every rank as many batches, and the pruner the same settings"
_DIVERGED = "weights or gradients must differ, too; is DistributedDataParallel around the net?"


class Pruner:
    """Prunes a model while the user's own loop trains it (method, sections 3 and 4).

    Call `step()` after every `optimizer.step()`. Parameter objects, their names and the state_dict
    keys stay the user's: masks live here. `compact` cuts what is dead when training is over. In a
    `with` block the pruner is closed at the end, also by an exception.

    Args:
        model: a spiking net of a supported framework, or DistributedDataParallel around one.
        optimizer: the optimiser that trains it, or Accelerate's wrapper; its state of pruned
            weights is kept consistent.
        example: one slice of input, `[B, C, H, W]` or `[B, F]` (values do not matter).
        time_steps: T of every forward.
        total_steps: optimiser steps of the pruning phase.
        score_batches: inputs (or `(input, target)` pairs) scored when the criticality option
            `score_on` is `train-set`; iterated once per event.
        layout: how the model is called on them, see `engine.forward`.
        seed: of random saliency and regrowth.
        options: fields of `PruneOptions`; `sparsity` has no default.

    Attributes:
        mask: what lives, by parameter name (bool).
        density: live share of the prunable weights of the original net.
        macs_density: the same share, each layer weighted by its dense MACs.
        events: the record of what every event did.
        last_scores: criticality [C] by neuron at the last event.
        wiring: which weights feed which neurons.
        event_steps: after which optimiser steps an event happens.

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
        **options: Any,
    ) -> None:
        self.options = PruneOptions.of(**options)
        model, optimizer = inner_model(model), inner_optimizer(optimizer)
        self.model, self.optimizer, self.example = model, optimizer, example
        self.time_steps, self.layout = time_steps, layout
        require_same("total_steps, time_steps, seed", (total_steps, time_steps, seed), _SETTINGS)
        self.wiring = trace(model, example)
        kind = Weights if self.options.granularity == "weight" else Channels
        self.granularity = kind(
            model, example, wiring=self.wiring, options=self.options, time_steps=time_steps
        )
        every = self.options.interval(total_steps) if kind is Weights else total_steps
        self.event_steps = event_steps(total_steps, every, schedule=self.options.schedule)
        self._densities = {
            step: density_at(
                k, len(self.event_steps), 1 - self.options.sparsity, schedule=self.options.schedule
            )
            for k, step in enumerate(self.event_steps, 1)
        }
        self.granularity.check()
        self.steps = 0
        self.events: list[Event] = []
        self.last_scores: dict[str, Tensor] = {}
        self._regrown: dict[str, Tensor] = {}
        self._generator = torch.Generator().manual_seed(seed)
        self._scorer = Scorer(
            model,
            self.options,
            self.event_steps,
            time_steps=time_steps,
            batches=score_batches,
            layout=layout,
        )
        self._dense: dict[str, Tensor] = {}  # gradients, between the optimiser's step and ours
        self._needs_gradient = needs_gradient(self.options)
        self._count()
        self._parameters = {n: p for n, p in model.named_parameters() if n in self.mask}
        self._upkeep = Upkeep(optimizer, self._parameters, lambda: self._capturing)
        self._handle = optimizer.register_step_pre_hook(self._before_optimizer_step)
        self._scorer.arm_if_due(0)

    # -- what the user calls -----------------------------------------------------------------

    def step(self) -> Event | None:
        """Count one optimiser step, keep dead weights at 0 and run the event that is due, if any.

        Returns:
            The event, or None in an ordinary step.

        Raises:
            ObservationError: the forwards before an event were not observed as they must be.
            RunError: scores that are not numbers, or a gradient that an event needs and that the
                optimiser never saw. The pruner is closed after an error.
        """
        self.steps += 1
        self._upkeep.after_step()
        event = None
        if self.steps in self._densities:
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
        self._handle.remove()

    def check(self) -> None:
        """Refuse if a dead weight is not 0; every event does this.

        Raises:
            RunError: it is not.
        """
        self._upkeep.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
        shapes = {name: mask.shape for name, mask in live.items()}
        saved = {name: mask.shape for name, mask in state["live"].items()}
        if saved != shapes or list(state["event_steps"]) != list(self.event_steps):
            raise RunError(
                f"expected the state of a pruner of {len(shapes)} layers with events at steps "
                f"{_brief(self.event_steps)}, got one of {len(saved)} layers with events at "
                f"{_brief(state['event_steps'])}, or of other names or sizes; make the Pruner "
                "with the model and the options of the run that was saved"
            )
        self.steps = int(state["steps"])
        self.events = [Event(**event) for event in state["events"]]
        self._regrown = {n: t.to(live[n].device) for n, t in state["regrown"].items()}
        self.granularity.live = {  # laid out as the weights, which is quicker
            n: torch.empty_like(mask).copy_(state["live"][n]) for n, mask in live.items()
        }
        self.last_scores = dict(state["scores"])
        self._generator.set_state(state["generator"])
        self._count()
        self._upkeep.mask_with(self.mask, trusted=False)
        self._scorer.load_state_dict(state["observed"])

    # -- every step --------------------------------------------------------------------------

    @property
    def _capturing(self) -> bool:
        """Whether the coming event needs the dense gradient, which is then masked only later."""
        return self._needs_gradient and self.steps + 1 in self._densities

    def _before_optimizer_step(self, *_: Any) -> None:
        """Take the dense gradient if the event needs it; add the L1 penalty's subgradient."""
        if self._capturing:
            for name, parameter in self._parameters.items():
                if parameter.grad is None:
                    raise ModelError(
                        f"{name!r} got no gradient, so its weights cannot be ranked for regrowth; "
                        "exclude the layer, or train it"
                    )
                self._dense[name] = parameter.grad.detach().clone()
        self._upkeep.before_step()
        if not self.finished:
            self.granularity.penalise()

    def _count(self) -> None:
        self.mask = self.granularity.parameter_mask()
        self.density = self.granularity.density()
        self.macs_density = self.granularity.macs_density()

    # -- events ------------------------------------------------------------------------------

    @torch.no_grad()
    def _run_event(self) -> Event:
        if self._needs_gradient and not self._dense:
            raise RunError(
                "the event needs the gradients of this step, but the optimiser did not step; call "
                "optimizer.step() before pruner.step(), and neither where a step is skipped"
            )
        self._upkeep.check()
        stats = self._scorer.score()
        if stats is not None:
            self.last_scores = {name: s.score.detach().cpu() for name, s in stats.items()}
        before = dict(self.granularity.live)
        outcome = self.granularity.event(
            self._densities[self.steps], stats, self._dense, self._generator
        )
        self._dense = {}
        self._apply(outcome)
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


def _brief(steps: Iterable[int]) -> str:
    """Write the steps of events: all of a few, the ends of many."""
    texts = [str(step) for step in steps]
    return ", ".join(texts if len(texts) < 5 else [*texts[:2], "...", texts[-1]])
