"""How criticality is measured: one frozen set of options."""

from dataclasses import dataclass

from spikeprune.errors import ConfigError, require_one_of
from spikeprune.science.surrogate import CURVES


@dataclass(frozen=True)
class CriticalityOptions:
    """How criticality is measured (method, section 2); the defaults are the paper's."""

    curve: str = "model"
    """Score curve: the model's own surrogate (`model`) or a named family."""
    value: str = "derivative"
    """`derivative` of the surrogate, or its `primitive` (forward) value."""
    space: str = "max"
    """Reduction over positions: `max` or `mean`."""
    time: str = "mean"
    """Reduction over time steps: `mean` or `max`."""
    normalise: str = "none"
    """`none`, `layer` (rank within the layer) or `synops` (per added synaptic operation)."""
    weight: str = "post"
    """Score of one weight: `post`, `post*pre` (presynaptic rate) or `post*grad`."""
    batches: int = 1
    """Training batches just before an event that are scored."""
    score_on: str = "train-batch"
    """`train-batch` (the batches just before the event) or `train-set` (a loader, eval mode)."""

    def __post_init__(self) -> None:
        """Refuse values that do not exist."""
        require_one_of("criticality curve", self.curve, ("model", *CURVES))
        require_one_of("criticality value", self.value, ("derivative", "primitive"))
        require_one_of("criticality space", self.space, ("max", "mean"))
        require_one_of("criticality time", self.time, ("mean", "max"))
        require_one_of("criticality normalise", self.normalise, ("none", "layer", "synops"))
        require_one_of("criticality weight", self.weight, ("post", "post*pre", "post*grad"))
        require_one_of("criticality score_on", self.score_on, ("train-batch", "train-set"))
        if self.batches < 1:
            raise ConfigError(f"criticality.batches must be at least 1, got {self.batches}")
