"""How criticality is measured: one frozen set of options."""

from dataclasses import dataclass
from typing import Annotated, Literal

from spikeprune.choices import OneOf, check_choices
from spikeprune.ranges import Range, check_ranges
from spikeprune.science.surrogate import CURVES


@dataclass(frozen=True)
class CriticalityOptions:
    """How criticality is measured (method, section 2); the defaults are the paper's.

    Raises:
        ConfigError: a value that does not exist, or no batch.
    """

    curve: Annotated[str, OneOf(lambda: ("model", *CURVES))] = "model"
    """Score curve: the model's own surrogate (`model`) or a named family."""
    value: Literal["derivative", "primitive"] = "derivative"
    """`derivative` of the surrogate, or its `primitive` (forward) value."""
    space: Literal["max", "mean"] = "max"
    """Reduction over positions: `max` or `mean`."""
    time: Literal["mean", "max"] = "mean"
    """Reduction over time steps: `mean` or `max`."""
    normalise: Literal["none", "layer", "synops"] = "none"
    """`none`, `layer` (rank within the layer) or `synops` (per added synaptic operation)."""
    weight: Literal["post", "post*pre", "post*grad"] = "post"
    """Score of one weight: `post`, `post*pre` (presynaptic rate) or `post*grad`."""
    batches: Annotated[int, Range(1)] = 1
    """Training batches just before an event that are scored."""
    score_on: Literal["train-batch", "train-set"] = "train-batch"
    """`train-batch` (the batches just before the event) or `train-set` (a loader, eval mode)."""

    def __post_init__(self) -> None:
        """Refuse values that do not exist."""
        check_choices(self, "criticality.")
        check_ranges(self, "criticality.")


PAPER = CriticalityOptions()
"""Criticality as the paper measures it."""
