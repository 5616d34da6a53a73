"""One training stage of a run: epochs with checkpoints, history and events. It can be resumed."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from spikeprune.data import Batches
from spikeprune.distributed.collectives import (
    by_main,
    gather,
    is_main,
    mean_over_ranks,
    rank,
    settle_buffers_,
    sum_over_ranks,
    world_size,
)
from spikeprune.distributed.data_parallel import data_parallel
from spikeprune.errors import RunError
from spikeprune.files import checked
from spikeprune.lab.run.progress.tracker import Tracker
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.batch_shares import slices, turns
from spikeprune.lab.run.stages.objective import Objective
from spikeprune.lab.run.stages.phases import Phase
from spikeprune.lab.run.stages.training_cost import TrainingCost
from spikeprune.pruning.pruner import Pruner
from spikeprune.science.cost import scoring_flops, training_flops
from spikeprune.training.checkpoint import load_tree, rng_states, save_tree, set_rng_states
from spikeprune.training.loop import check_finite, count_hits, lr_factor, train_epoch


class _State(TypedDict):
    """The state of a stage between two epochs."""

    epoch: int
    processes: int
    model: dict[str, Any]
    optimizer: dict[str, Any]
    pruner: dict[str, Any] | None
    observed: list[Any]
    rng: dict[str, Any]
    spent: dict[str, float]
    history: NotRequired[Any]  # the bytes of the history file, uint8
    rows: NotRequired[int]  # its number of rows, in version 0.1


@dataclass
class TrainStage:
    """Trains `model` in place through all phases.

    The whole state is saved to `checkpoint` at the start and after every epoch; a later `run` goes
    on from there and gives the same result as a run without interruption. Torch's generators are
    seeded with the run's seed.
    """

    session: Session
    model: nn.Module
    phases: Sequence[Phase]
    optimizer: torch.optim.Optimizer
    tracker: Tracker
    checkpoint: Path
    pruner: Pruner | None = None
    macs_share: float = 1.0  # MACs of this net / MACs of the uncut net, for the count of FLOPs
    density: float = 1.0  # live share of the original net's weights, if there is no pruner
    first_epoch: int = 0  # epochs that earlier stages have trained, for numbering and shuffling
    objective: Objective | None = None  # its loss; None: that of the labels alone
    curves: bool = False  # whether the history has training and test accuracy of every epoch
    cost: TrainingCost = field(default_factory=TrainingCost, init=False)
    epoch: int = field(default=0, init=False)  # epochs of this stage that are trained

    def run(self) -> TrainingCost:
        """Train the remaining epochs of all phases and return the cost of the stage."""
        self._begin()
        before = 0
        for phase in self.phases:
            if before <= self.epoch < before + phase.epochs:
                steps = self.session.steps_per_epoch
                self.tracker.display.stage(phase.name, f"{phase.epochs} epochs of {steps} steps")
            while self.epoch < before + phase.epochs:
                try:
                    self._train_epoch(phase, before=before)
                except RunError as error:
                    raise RunError(f"{error}. Saved state: {self.checkpoint}") from error
                self.save()
            before += phase.epochs
        return self.cost

    @property
    def epochs(self) -> int:
        """Epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @cached_property
    def forward(self) -> Callable[[Tensor], Tensor]:
        """The forward to train; gradients are averaged over the ranks."""
        return data_parallel(self.model, self.session.forward(self.model))

    def save(self) -> None:
        """Write the state between two epochs; it replaces the one before atomically."""
        # All ranks hold the same state except their observers' sums, which are gathered.
        pruner = None if self.pruner is None else self.pruner.state_dict()
        observed = gather(None if pruner is None else pruner.pop("observed"))
        if not is_main():
            return
        self.tracker.require_claim()
        save_tree(
            self.checkpoint,
            {
                "epoch": self.epoch,
                "processes": world_size(),
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "pruner": pruner,
                "observed": observed,
                "rng": rng_states(self.session.device),
                "history": _as_bytes(self.tracker.history()),
                "spent": vars(self.cost),
            },
        )

    def _begin(self) -> None:
        """Go on from the checkpoint; if there is none, write it, so that a first epoch can fail."""
        torch.manual_seed(self.session.config.seed)
        if not by_main(self.checkpoint.is_file):
            self.tracker.forget({phase.name for phase in self.phases})
            self._begin_pruner()
            self.save()
            return
        state = checked(load_tree(self.checkpoint), _State, str(self.checkpoint))
        if state["processes"] != world_size():
            raise RunError(
                f"expected as many processes as wrote {self.checkpoint}, {state['processes']}, got "
                f"{world_size()}; go on with --nproc-per-node {state['processes']} (without "
                "torchrun for 1), or give another --out"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.pruner is not None:
            observed = state["observed"][rank()]
            self.pruner.load_state_dict({**state["pruner"], "observed": observed})
        set_rng_states(state["rng"], self.session.device)
        self.epoch, self.cost = state["epoch"], TrainingCost(**state["spent"])
        last = self.epoch < self.epochs  # else the rows that follow are of later stages
        if "history" in state:
            self.tracker.restore(state["history"].numpy().tobytes().decode(), last=last)
        elif last:
            self.tracker.keep(state["rows"])

    def _begin_pruner(self) -> None:
        """Prune a net that starts sparse, by the first training batches."""
        if self.pruner is None:
            return
        self.session.data.train.set_epoch(self.first_epoch)
        batches = self.session.moved(self.session.data.train, self.model)
        if self.pruner.begin(batches, self.session.loss) is not None:
            flops = training_flops(self.session.macs_per_sample, 1) * self.pruner.start_cost
            self.cost.flops += flops
            self.cost.flops_sparse += flops
            self._record_event(self.phases[0], self.first_epoch)

    def _train_epoch(self, phase: Phase, *, before: int) -> None:
        """Train and record the next epoch, of `phase`, which comes after `before` epochs."""
        phase.prepare(self.epoch - before)
        started = time.monotonic()
        loss = mean_over_ranks(self._pass_over_data(phase, before))
        settle_buffers_(self.model)
        check_finite(self.model, self.epoch + 1)
        self.epoch += 1
        seconds = time.monotonic() - started
        self.cost.seconds += seconds
        self.tracker.epoch(
            {
                "kind": "epoch",
                "stage": phase.name,
                "epoch": self.first_epoch + self.epoch,
                "epochs": self.first_epoch + self.epochs,
                "loss": loss,
                **self._accuracies(),
                "density": self.density if self.pruner is None else self.pruner.density,
                "lr": self.optimizer.param_groups[0]["lr"],
                "seconds": seconds,
            }
        )

    def _pass_over_data(self, phase: Phase, before: int) -> float:
        """Train on all training batches once and return the mean loss."""
        config, session = self.session.config.optimizer, self.session
        past, steps, done = self.first_epoch + self.epoch, session.steps_per_epoch, 0
        session.data.train.set_epoch(past)

        def before_step() -> None:
            progress = phase.progress(self.epoch + done / steps, self.epochs, before=before)
            for group in self.optimizer.param_groups:
                group["lr"] = config.lr * lr_factor(config.schedule, progress)

        def after_step(loss: float) -> None:
            nonlocal done
            done += 1
            self._record_event(phase, past + done / steps)
            epochs = self.first_epoch + self.epochs
            self.tracker.display.step(done, steps, epoch=past + 1, epochs=epochs, loss=loss)

        objective = self.objective or Objective(session)
        with objective.of(self.model) as loss:
            return train_epoch(
                self.model,
                self._counted(),
                self.optimizer,
                pruner=self.pruner,
                forward=self.forward,
                loss=loss,
                before_step=before_step,
                after_step=after_step,
                clip_norm=config.clip_norm,
            )

    def _accuracies(self) -> dict[str, float | None]:
        """Return the accuracies that the history has of every epoch."""
        data = self.session.data
        # The user's own loaders may hold out no validation samples.
        held_out = self._accuracy(data.validation) if data.validation.samples else None
        found: dict[str, float | None] = {"validation_accuracy": held_out}
        if self.curves:  # to be shown: no choice depends on them (method, section 5)
            found["train_accuracy"] = self._accuracy(data.score)
            found["test_accuracy"] = self._accuracy(data.test)
        return found

    def _accuracy(self, data: Batches) -> float:
        """Return the accuracy in eval mode; the ranks take turns of the batches."""
        batches = self.session.moved(turns(data))
        found = count_hits(self.model, batches, forward=self.session.forward(self.model))
        hits, count = sum_over_ranks(torch.tensor(found, device=self.session.device)).tolist()
        return float(hits / count)

    def _counted(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the training batches and add each step's FLOPs, and those of scoring after it."""
        pruner, data = self.pruner, self.session.data
        macs = round(self.session.macs_per_sample * self.macs_share)
        for x, y in self.session.moved(slices(data.train), self.model):
            samples = len(y) * world_size()
            density = self.session.macs_density(pruner) if pruner else 1.0
            self.cost.flops += training_flops(macs, samples)
            self.cost.flops_sparse += training_flops(macs, samples, density=density)
            if self.objective is not None and self.objective.teacher is not None:
                self._count_teacher(samples)
            due = pruner and not pruner.finished and pruner.steps + 1 in pruner.event_steps
            if pruner and pruner.scores_loader and due:
                scored = data.score.samples
                self.cost.flops += scoring_flops(macs, scored)
                self.cost.flops_sparse += scoring_flops(macs, scored, density=density)
            yield x, y

    def _count_teacher(self, samples: int) -> None:
        """Add the FLOPs of a forward pass of the teacher, which is dense."""
        flops = scoring_flops(self.session.macs_per_sample, samples)
        self.cost.flops += flops
        self.cost.flops_sparse += flops
        self.cost.flops_teacher += flops

    def _record_event(self, phase: Phase, epoch: float) -> None:
        """Record the pruning event of this step, if there was one."""
        if self.pruner is None or not self.pruner.events:
            return
        event = self.pruner.events[-1]
        if event.step == self.pruner.steps:
            self.tracker.event(
                {"kind": "event", "stage": phase.name, **event.to_dict(), "epoch": epoch}
            )


def _as_bytes(text: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(text.encode(), dtype=np.uint8).copy())
