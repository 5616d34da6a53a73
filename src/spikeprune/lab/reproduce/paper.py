"""The known numbers of the paper's tables and costs. Unknown ones are not filled in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownRow:
    """A row of the only known table of the paper."""

    name: str  # of the method in the paper
    epochs: int  # in the paper; for its own method the pruning epochs
    accuracy: float  # per cent
    here: str | None  # name of the method in spikeprune; None if it has none


# CIFAR-100, ResNet19, about 95 % of the weights removed.
KNOWN = (
    KnownRow("Grad R", 2048, 67.47, None),
    KnownRow("IMP", 3380, 70.54, "imp"),
    KnownRow("RCMO-SNN", 3100, 72.67, None),
    KnownRow("NDSNN", 300, 68.95, "ndsnn"),
    KnownRow("this method", 200, 73.01, "criticality"),
)
PRUNING_EPOCHS, FINETUNING_EPOCHS = 200, 300  # of its method, from its released script
# Rounds of iterative magnitude pruning, by the sparsity that they reach (Kim et al. 2022).
ROUNDS = {0.9813: 14, 0.9569: 11}
_FIRST, _LATER = 300, 280


def imp_epochs(rounds: int) -> int:
    """Return the epochs of iterative magnitude pruning with rewinding (Kim et al. 2022).

    The training after each drop starts from the weights after 20 of the 300 epochs.
    """
    return _FIRST + _LATER * rounds


def saved(epochs: float, reference: float) -> float:
    """Return the saved fraction of a cost, 1 - epochs / reference; negative if dearer."""
    if reference <= 0:
        raise ValueError(f"expected a positive reference, got {reference}")
    return 1 - epochs / reference
