"""The figures and tables of the paper, reproduced from one set of runs at one of three scales."""

from spikeprune.lab.reproduce.experiment import Experiment, ExperimentResult
from spikeprune.lab.reproduce.output.documents import Reproduction
from spikeprune.lab.reproduce.registry import ALL, EXPERIMENTS
from spikeprune.lab.reproduce.reproduce import Request, reproduce
from spikeprune.lab.reproduce.scales import SCALES

__all__ = [
    "ALL",
    "EXPERIMENTS",
    "SCALES",
    "Experiment",
    "ExperimentResult",
    "Reproduction",
    "Request",
    "reproduce",
]
