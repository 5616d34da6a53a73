"""The cost of training, summed over the stages of a run."""

from dataclasses import dataclass


@dataclass
class TrainingCost:
    """The cost of training so far; `flops_sparse` counts live weights only.

    `flops_teacher` are those of the teacher's forward passes, a part of both other numbers.
    """

    flops: float = 0.0
    flops_sparse: float = 0.0
    seconds: float = 0.0
    flops_teacher: float = 0.0

    def plus(self, other: "TrainingCost") -> "TrainingCost":
        """Return the cost of both."""
        return TrainingCost(
            self.flops + other.flops,
            self.flops_sparse + other.flops_sparse,
            self.seconds + other.seconds,
            self.flops_teacher + other.flops_teacher,
        )
