"""Distillation: the loss of a net that learns from labels and from a teacher."""

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from spikeprune.errors import ConfigError, ModelError, SpikePruneError, one_line
from spikeprune.execution.autograd_graph import ancestors
from spikeprune.execution.forward import Layout, evaluating, forward
from spikeprune.ranges import Range
from spikeprune.science.distillation import divergence
from spikeprune.training.losses import loss_by_name, mean_cross_entropy, scale_of

WEIGHTS, TEMPERATURES = Range(0, 1), Range(0, 100, open_low=True)


@final
class Distillation:
    """`(1 - weight) loss + weight s tau^2 KL(teacher || student)` of logits, targets and inputs.

    The divergence is that of the mean logits over T, or with `per_step` the mean of those of the
    steps. `s` is the factor that a loss by name has before its cross-entropy, see
    `training.losses`; 1 for a function.

    The teacher runs on the inputs of each batch: from rest, in eval mode, without gradients, inside
    of the caller's autocast. Nothing of it changes. It is on the device of the inputs.

    Args:
        teacher: another net than the one that is trained, such as a copy of the dense net.
        weight: a share in [0, 1]; with 0 the teacher does not run.
        temperature: tau, in (0, 100].
        time_steps: T.
        layout: how the teacher takes time, see `execution.forward`.
        per_step: compare the logits of every step; the two nets return them.
        loss: a name of `training.losses.LOSSES`, or a function of logits `[T, B, K]` and targets
            to a scalar.

    Raises:
        ConfigError: weight, temperature or the name of the loss is not valid.

    Source: Hinton, Vinyals, Dean 2015, arXiv:1503.02531.
    """

    def __init__(
        self,
        teacher: nn.Module,
        *,
        weight: float,
        time_steps: int,
        temperature: float = 2.0,
        layout: Layout = "sequence",
        per_step: bool = False,
        loss: str | Callable[[Tensor, Tensor], Tensor] = mean_cross_entropy,
    ) -> None:
        for name, value, valid in (
            ("weight", weight, WEIGHTS),
            ("temperature", temperature, TEMPERATURES),
        ):
            if value not in valid:
                raise ConfigError(f"expected the {name} of a teacher to be {valid}, got {value}")
        self.teacher, self.weight, self.temperature = teacher, weight, temperature
        self._time_steps, self._layout, self._per_step = time_steps, layout, per_step
        self._name = loss if isinstance(loss, str) else None
        self._loss = loss_by_name(loss) if isinstance(loss, str) else loss
        self._compared = False  # the two nets, once

    def __call__(self, outputs: Tensor, targets: Tensor, inputs: Any) -> Tensor:
        """Return the loss.

        Args:
            outputs: logits `[T, B, K]` of the student, or `[B, K]` of one that averages over time.
            targets: as the loss takes them, such as class indices `[B]`.
            inputs: the batch that the student ran on, as `execution.forward` takes it.

        Raises:
            ModelError: the teacher cannot run the inputs, has other classes, or shares weights with
                the student; or `per_step` of nets that average over time.
            ConfigError: the loss gives more than one number.
        """
        logits = outputs if outputs.ndim == 3 else outputs.unsqueeze(0)
        hard = self._loss(logits, targets)
        if hard.ndim:
            raise ConfigError(
                "expected a loss that gives one number, such as a mean over the samples, to be "
                f"mixed with that of the teacher, got shape {tuple(hard.shape)}"
            )
        if self.weight == 0:
            return hard
        self._refuse_itself(logits)
        return (1 - self.weight) * hard + self.weight * self._soft(logits, self._taught(inputs))

    def _soft(self, logits: Tensor, taught: Tensor) -> Tensor:
        """Return the divergence from the teacher, scaled as the loss is."""
        self._require_comparable(logits, taught)
        scale = 1.0 if self._name is None else scale_of(self._name, len(logits))
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if not self._per_step:
            logits, taught = logits.mean(0), taught.mean(0)
        return scale * divergence(logits, taught, temperature=self.temperature)

    @torch.no_grad()
    def _taught(self, inputs: Any) -> Tensor:
        """Return the teacher's logits `[T, B, K]`."""
        try:
            with evaluating(self.teacher):
                return forward(
                    self.teacher, inputs, time_steps=self._time_steps, layout=self._layout
                )
        except SpikePruneError:
            raise
        except Exception as error:  # anything that the teacher's code raises
            raise ModelError(
                f"the teacher cannot run the inputs of the net that it teaches: {one_line(error)}; "
                "give a teacher of the same data, and the layout that it takes"
            ) from error

    def _require_comparable(self, logits: Tensor, taught: Tensor) -> None:
        ours, theirs = logits.shape[1:], taught.shape[1:]
        if ours != theirs:
            raise ModelError(
                f"expected a teacher with logits [B, K] = {list(ours)} at each step, as those of "
                f"the net that it teaches, got {list(theirs)}; give one of the same classes"
            )
        if self._per_step and not len(logits) == len(taught) == self._time_steps:
            raise ModelError(
                f"per_step compares the logits of each of {self._time_steps} time steps, but the "
                f"net gives those of {len(logits)} and its teacher those of {len(taught)}; leave "
                "per_step out to compare their means"
            )

    def _refuse_itself(self, logits: Tensor) -> None:
        """Refuse, once, a teacher that the logits come from: it would teach what it just said."""
        if self._compared or logits.grad_fn is None:
            return
        own = {id(p) for p in self.teacher.parameters()}
        leaves = (getattr(node, "variable", None) for node in ancestors(logits.grad_fn))
        if any(id(leaf) in own for leaf in leaves):
            raise ModelError(
                "the teacher shares weights with the net that is trained; give a copy of the dense "
                "net, as copy.deepcopy(model).eval() makes one before the Pruner"
            )
        self._compared = True
