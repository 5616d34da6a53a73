"""How long a run trains, by what optimiser, and in how many rounds: parts of `RunConfig`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Epochs:
    """How long each stage trains."""

    prune: int = 10
    """Epochs of pruning; for channels, of training with the L1 penalty."""
    finetune: int = 10
    """Epochs after the final density is reached."""
    dense: int | None = None
    """Epochs of the dense run; by default prune + finetune, to be fair."""

    @property
    def total(self) -> int:
        """Epochs of the pruned net: pruning and fine-tuning."""
        return self.prune + self.finetune


@dataclass(frozen=True)
class Optimizer:
    """Optimiser and learning-rate schedule."""

    name: str = "sgd"
    """Optimiser."""
    lr: float = 0.1
    """Peak learning rate."""
    momentum: float = 0.9
    """Momentum of SGD."""
    weight_decay: float = 1e-4
    """Weight decay."""
    schedule: str = "cosine"
    """How the learning rate falls over all epochs."""
    clip_norm: float | None = None
    """Clip the norm of the gradient to this."""


@dataclass(frozen=True)
class Imp:
    """Iterative magnitude pruning: rounds of training, dropping and rewinding."""

    share: float = 0.25
    """Share of the living weights that a round drops, at most; the last round meets the target."""
    rounds: int | None = None
    """Rounds that drop, instead of as many as imp.share takes."""
    rewind: int | None = None
    """Epochs after which the weights are kept to rewind to; by default a fifteenth of a round."""
    budget: str = "equal"
    """Epochs of all rounds together: equal to those of other methods, or own: each round as many
    as those."""
