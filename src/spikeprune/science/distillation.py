"""Distillation: how far the class probabilities of a student are from those of a teacher."""

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax


def divergence(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """Return `tau^2 KL(softmax(teacher / tau) || softmax(student / tau))`, averaged.

    The factor `tau^2` keeps the size of the gradients of the student's logits over temperatures.

    Args:
        student: logits `[..., K]`.
        teacher: logits of the same shape.
        temperature: tau, above 0; above 1 it shows how the teacher ranks the wrong classes.

    Returns:
        A scalar, at least 0 but for rounding: the mean over all axes ahead of the classes.

    Source: Hinton, Vinyals, Dean 2015, arXiv:1503.02531, section 2.
    """
    ours, theirs = (log_softmax(one / temperature, -1) for one in (student, teacher))
    each = kl_div(ours, theirs, reduction="none", log_target=True).sum(-1)
    return temperature**2 * each.mean()
