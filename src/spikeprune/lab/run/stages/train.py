"""One training stage of a run: epochs with checkpoints, history and events; it can be resumed."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

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
from spikeprune.lab.run.progress.tracker import Tracker
from spikeprune.lab.run.session import Session
from spikeprune.lab.run.stages.batch_shares import slices, turns
from spikeprune.lab.run.stages.phases import Phase
from spikeprune.lab.run.stages.training_cost import TrainingCost
from spikeprune.pruning.pruner import Pruner
from spikeprune.science.cost import scoring_flops, training_flops
from spikeprune.training.checkpoint import load_tree, rng_states, save_tree, set_rng_states
from spikeprune.training.loop import check_finite, count_hits, lr_factor, train_epoch
from spikeprune.training.rate_penalty import rate_penalty


@dataclass
class _Fit:
    """The state that a checkpoint holds."""

    session: Session
    model: nn.Module
    optimizer: torch.optim.Optimizer
    pruner: Pruner | None
    tracker: Tracker
    checkpoint: Path
    macs_share: float
    density: float
    first_epoch: int
    rate_penalty: float = 0.0
    curves: bool = False
    spent: TrainingCost = field(default_factory=TrainingCost)
    epoch: int = 0

    @cached_property
    def forward(self) -> Callable[[Tensor], Tensor]:
        """The forward that is trained; of several ranks the gradients are averaged."""
        return data_parallel(self.model, self.session.forward(self.model))

    def save(self) -> None:
        """Write the state between two epochs; it replaces the one before atomically.

        Of what several ranks hold all is the same but what their observers have seen.
        """
        pruner = None if self.pruner is None else self.pruner.state_dict()
        observed = gather(None if pruner is None else pruner.pop("observed"))
        if not is_main():
            return
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
                "rows": self.tracker.rows,
                "spent": vars(self.spent),
            },
        )

    def begin(self, phases: Sequence[Phase]) -> None:
        """Go on from the checkpoint; write the first one if there is none.

        A first epoch that fails then leaves a good state as well.
        """
        torch.manual_seed(self.session.config.seed)
        if not by_main(self.checkpoint.is_file):
            self.tracker.rewind(self.tracker.rows_before({phase.name for phase in phases}))
            self._begin_pruner(phases[0])
            self.save()
            return
        state = load_tree(self.checkpoint)
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
        self.epoch, self.spent = state["epoch"], TrainingCost(**state["spent"])
        if self.epoch < sum(phase.epochs for phase in phases):
            self.tracker.rewind(state["rows"])  # else: rows behind are those of later stages

    def _begin_pruner(self, phase: Phase) -> None:
        """Make a net that starts sparse so, by the first training batches."""
        if self.pruner is None:
            return
        self.session.data.train.set_epoch(self.first_epoch)
        batches = self.session.moved(self.session.data.train)
        if self.pruner.begin(batches, self.session.loss) is not None:
            flops = training_flops(self.session.macs_per_sample, 1) * self.pruner.start_cost
            self.spent.flops += flops
            self.spent.flops_sparse += flops
            self._note_event(phase, self.first_epoch)

    def train_one(self, phase: Phase, total: int, *, before: int) -> None:
        """Train the next epoch, of `total` in this stage, and record it.

        `before` is how many of them belong to earlier phases.
        """
        phase.prepare(self.epoch - before)
        started = time.monotonic()
        loss = mean_over_ranks(self._train(phase, total, before))
        settle_buffers_(self.model)
        check_finite(self.model, self.epoch + 1)
        self.epoch += 1
        seconds = time.monotonic() - started
        self.spent.seconds += seconds
        self.tracker.epoch(
            {
                "kind": "epoch",
                "stage": phase.name,
                "epoch": self.first_epoch + self.epoch,
                "epochs": self.first_epoch + total,
                "loss": loss,
                "validation_accuracy": self._validate(),
                **self._curves(),
                "density": self.density if self.pruner is None else self.pruner.density,
                "lr": self.optimizer.param_groups[0]["lr"],
                "seconds": seconds,
            }
        )

    def _train(self, phase: Phase, total: int, before: int) -> float:
        """Pass once over the training data and return the mean loss."""
        config, session = self.session.config.optimizer, self.session
        past, steps, done = self.first_epoch + self.epoch, session.steps_per_epoch, 0
        session.data.train.set_epoch(past)

        def before_step() -> None:
            progress = phase.progress(self.epoch + done / steps, total, before=before)
            for group in self.optimizer.param_groups:
                group["lr"] = config.lr * lr_factor(config.schedule, progress)

        def after_step(loss: float) -> None:
            nonlocal done
            done += 1
            self._note_event(phase, past + done / steps)
            self.tracker.step(
                done, steps, epoch=past + 1, epochs=self.first_epoch + total, loss=loss
            )

        with rate_penalty(self.model, session.loss, self.rate_penalty) as loss:
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

    def _validate(self) -> float | None:
        if self.session.data.validation.samples == 0:  # the user's own loaders may have none
            return None
        return self._accuracy(self.session.data.validation)

    def _curves(self) -> dict[str, float]:
        """Return what is recorded to be shown and never to choose by (method, section 5)."""
        if not self.curves:
            return {}
        data = self.session.data
        return {
            "train_accuracy": self._accuracy(data.score),
            "test_accuracy": self._accuracy(data.test),
        }

    def _accuracy(self, data: Batches) -> float:
        """Return the accuracy in eval mode; of several ranks each takes its turn of the batches."""
        batches = self.session.moved(turns(data))
        found = count_hits(self.model, batches, forward=self.session.forward(self.model))
        hits, count = sum_over_ranks(torch.tensor(found, device=self.session.device)).tolist()
        return float(hits / count)

    def _counted(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the training batches; count what a step on each costs at the density of then."""
        for x, y in self.session.moved(slices(self.session.data.train)):
            self._count(len(y) * world_size())
            yield x, y

    def _count(self, samples: int) -> None:
        macs = round(self.session.macs_per_sample * self.macs_share)
        density = 1.0 if self.pruner is None else self.pruner.macs_density
        self.spent.flops += training_flops(macs, samples)
        self.spent.flops_sparse += training_flops(macs, samples, density=density)
        pruner = self.pruner
        if pruner and pruner.scores_loader and pruner.steps + 1 in pruner.event_steps:
            scored = self.session.data.score.samples
            self.spent.flops += scoring_flops(macs, scored)
            self.spent.flops_sparse += scoring_flops(macs, scored, density=density)

    def _note_event(self, phase: Phase, epoch: float) -> None:
        if self.pruner is None or not self.pruner.events:
            return
        event = self.pruner.events[-1]
        if event.step == self.pruner.steps:
            row: dict[str, Any] = event.to_dict() | {"epoch": epoch}
            self.tracker.event({"kind": "event", "stage": phase.name, **row})


def fit(
    session: Session,
    model: nn.Module,
    phases: Sequence[Phase],
    *,
    optimizer: torch.optim.Optimizer,
    pruner: Pruner | None,
    tracker: Tracker,
    checkpoint: Path,
    macs_share: float = 1.0,
    density: float = 1.0,
    first_epoch: int = 0,
    rate_penalty: float = 0.0,
    curves: bool = False,
) -> TrainingCost:
    """Train `model` through all phases under one learning-rate schedule and return the cost.

    The whole state is saved to `checkpoint` at the start and after every epoch; a later call goes
    on from there and gives the same result as a run without interruption. Torch's generators are
    seeded with the run's seed.

    Args:
        session: data, loss and settings.
        model: trained in place.
        phases: stretches of epochs, for names in the history.
        optimizer: of the model's parameters.
        pruner: steps with it; None trains without.
        tracker: is told of every epoch and event.
        checkpoint: file of the resumable state.
        macs_share: MACs of this net / MACs of the uncut net, for the count of FLOPs.
        density: live share of the original net's weights, where no pruner tells.
        first_epoch: epochs that earlier stages have trained, for numbering and shuffling.
        rate_penalty: weight of the mean firing rate in the loss.
        curves: whether the history has training and test accuracy of every epoch.

    Raises:
        RunError: a loss or weights that are not finite; the state of the last good epoch is on
            disk, where the message says.
    """
    state = _Fit(
        session,
        model,
        optimizer,
        pruner,
        tracker,
        checkpoint,
        macs_share=macs_share,
        density=density,
        first_epoch=first_epoch,
        rate_penalty=rate_penalty,
        curves=curves,
    )
    state.begin(phases)
    total = sum(phase.epochs for phase in phases)
    before = 0
    for phase in phases:
        if before <= state.epoch < before + phase.epochs:
            tracker.stage(phase.name, f"{phase.epochs} epochs of {session.steps_per_epoch} steps")
        while state.epoch < before + phase.epochs:
            try:
                state.train_one(phase, total, before=before)
            except RunError as error:
                raise RunError(f"{error}. Saved state: {checkpoint}") from error
            state.save()
        before += phase.epochs
    return state.spent
