"""The paper's figures and tables at three scales, each made from runs that all share."""

from spikeprune.lab.reproduce.documents import Done
from spikeprune.lab.reproduce.drive import Request, reproduce
from spikeprune.lab.reproduce.registry import ALL, EXPERIMENTS
from spikeprune.lab.reproduce.scales import SCALES
from spikeprune.lab.reproduce.section import Experiment, Section

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
