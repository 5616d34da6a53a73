"""What training costs, summed over the stages of a run."""

from dataclasses import dataclass


@dataclass
class Spent:
    """What training has cost so far."""

    flops: float = 0.0
    flops_sparse: float = 0.0
    seconds: float = 0.0

    def plus(self, other: "Spent") -> "Spent":
        """Return the cost of both."""
        return Spent(
            self.flops + other.flops,
            self.flops_sparse + other.flops_sparse,
            self.seconds + other.seconds,
        )
