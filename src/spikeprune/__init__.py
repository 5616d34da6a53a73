"""Prune spiking neural networks, bring back what is critical, hand over a smaller net."""

__version__ = "0.1.0"

from spikeprune.cutting.compact import Cut, compact, cut
from spikeprune.errors import SpikePruneError
from spikeprune.inference.event_driven import event_driven
from spikeprune.lab.saved import load
from spikeprune.measuring.evaluate import evaluate
from spikeprune.measuring.metrics import Metrics
from spikeprune.observing.observer import Observer, score_loader
from spikeprune.pruning.options import ChannelOptions, CriticalityOptions, PruneOptions
from spikeprune.pruning.pruner import Pruner
from spikeprune.wiring.wiring import trace

__all__ = [
    "ChannelOptions",
    "CriticalityOptions",
    "Cut",
    "Metrics",
    "Observer",
    "PruneOptions",
    "Pruner",
    "SpikePruneError",
    "compact",
    "cut",
    "evaluate",
    "event_driven",
    "load",
    "score_loader",
    "trace",
]
