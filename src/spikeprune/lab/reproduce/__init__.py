"""The paper's figures and tables at three scales, each made from runs that all share."""

from spikeprune.lab.reproduce.experiment import Experiment, Section
from spikeprune.lab.reproduce.output.documents import Done
from spikeprune.lab.reproduce.registry import ALL, EXPERIMENTS
from spikeprune.lab.reproduce.reproduce import Request, reproduce
from spikeprune.lab.reproduce.scales import SCALES

__all__ = [
    "ALL",
    "EXPERIMENTS",
    "SCALES",
    "Done",
    "Experiment",
    "Request",
    "Section",
    "reproduce",
]
