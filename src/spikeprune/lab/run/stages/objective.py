"""The loss that a training stage lowers: of the labels, a teacher, and penalties."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from spikeprune.execution.precision import autocast
from spikeprune.lab.run.session import Session
from spikeprune.measuring.synops_penalty import synops_penalty
from spikeprune.training.distillation import Distillation
from spikeprune.training.rate_penalty import rate_penalty

Loss = Callable[..., Tensor]
"""Logits `[T, B, K]`, class indices `[B]` and inputs to a scalar."""


@dataclass(frozen=True)
class Objective:
    """The loss of a stage; by default that of the labels alone, as a dense net is trained."""

    session: Session
    teacher: nn.Module | None = None
    rate_penalty: float = 0.0  # weight of the mean firing rate
    synops_penalty: float = 0.0  # weight of the SynOps, as a share of the dense net's
    dense_synops: Mapping[str, float] | None = None  # by layer; the penalty on SynOps needs them

    @contextmanager
    def of(self, model: nn.Module) -> Iterator[Loss]:
        """Yield the loss of the forwards of `model`; its hooks go afterwards."""
        with (
            rate_penalty(model, self._loss(), self.rate_penalty) as loss,
            synops_penalty(
                model,
                loss,
                self.synops_penalty,
                wiring=self.session.wiring,
                dense_synops=self.dense_synops or {},
            ) as penalised,
        ):
            yield penalised

    def _loss(self) -> Loss:
        """Return the loss without penalties."""
        config, by_labels = self.session.config, self.session.loss
        if self.teacher is None:
            return lambda logits, labels, inputs: by_labels(logits, labels)
        distillation = Distillation(
            self.teacher,
            weight=config.teacher.weight,
            temperature=config.teacher.temperature,
            per_step=config.teacher.per_step,
            time_steps=config.time_steps,
            layout=config.layout,
            loss=config.loss,
        )

        def taught(logits: Tensor, labels: Tensor, inputs: Any) -> Tensor:
            with autocast(config.precision, self.session.device):  # the teacher's, as the student's
                return distillation(logits, labels, inputs)

        return taught


def stand_in_teacher(session: Session) -> nn.Module | None:
    """Return an untrained net in place of the run's teacher, to try it by; None without one."""
    return session.built(weights=True) if session.config.has_teacher else None
