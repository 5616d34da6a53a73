"""Prune spiking neural networks, bring back what is critical, hand over a smaller net."""

from spikeprune._version import __version__ as __version__
from spikeprune.cutting.compact import Cut, compact, cut
from spikeprune.errors import SpikePruneError
from spikeprune.inference.event_driven import event_driven
from spikeprune.inference.saved_net import load
from spikeprune.measuring.evaluate import evaluate
from spikeprune.measuring.metrics import Metrics
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.observing.observer import Observer, score_loader
from spikeprune.pruning.options import ChannelOptions, PruneOptions
from spikeprune.pruning.pruner import Pruner
from spikeprune.wiring.trace import trace

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
