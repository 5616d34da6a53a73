"""What is known of the paper's tables and costs; its full text is not to be had.

Nothing that is not known is filled in.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """A line of the paper's one table that is known.

    Attributes:
        name: as there.
        epochs: as there; of pruning, for the paper's own method.
        accuracy: per cent.
        here: the method's name here; None where there is none.
    """

    name: str
    epochs: int
    accuracy: float
    here: str | None


KNOWN = (
    Known("Grad R", 2048, 67.47, None),
    Known("IMP", 3380, 70.54, "imp"),
    Known("RCMO-SNN", 3100, 72.67, None),
    Known("NDSNN", 300, 68.95, "ndsnn"),
    Known("this method", 200, 73.01, "criticality"),
)
"""CIFAR-100, ResNet19, about 95 % of the weights removed."""

PRUNING_EPOCHS, FINETUNING_EPOCHS = 200, 300
"""Of the paper's method, by its released script."""

ROUNDS = {0.9813: 14, 0.9569: 11}
"""Rounds of iterative magnitude pruning by the sparsity that they reach (Kim et al. 2022)."""

_FIRST, _LATER = 300, 280


def imp_epochs(rounds: int) -> int:
    """Return the epochs of iterative magnitude pruning with rewinding (Kim et al. 2022).

    The first training has 300 epochs, one after each of `rounds` drops has 280: it starts from the
    weights after 20 epochs.
    """
    return _FIRST + _LATER * rounds


def saved(epochs: float, reference: float) -> float:
    """Return the share of a reference's cost that is saved, 1 - epochs / reference; below 0: more.

    Raises:
        ValueError: a reference that costs nothing.
    """
    if reference <= 0:
        raise ValueError(f"expected a positive reference, got {reference}")
    return 1 - epochs / reference
