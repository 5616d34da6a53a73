"""Tools for a training loop of one's own, beside the names of `spikeprune` itself.

Speed-ups that change no result, checkpoints without pickle, learning from a dense net, penalties
on firing, and readers of run folders. These names stay; the modules that define them may move.
"""

from spikeprune.adapters.speedups import fuse, hoist, unfuse, unhoist
from spikeprune.cutting.cut_files import load_cut, save_cut
from spikeprune.execution.forward import forward
from spikeprune.execution.precision import widen
from spikeprune.inference.event_driven import event_report
from spikeprune.inference.saved_net import load_masks
from spikeprune.measuring.synops_penalty import synops_penalty
from spikeprune.pruning.methods import options_for
from spikeprune.training.checkpoint import load_tree, save_tree
from spikeprune.training.distillation import Distillation
from spikeprune.training.rate_penalty import rate_penalty
from spikeprune.training.weights_file import load_weights

__all__ = [
    "Distillation",
    "event_report",
    "forward",
    "fuse",
    "hoist",
    "load_cut",
    "load_masks",
    "load_tree",
    "load_weights",
    "options_for",
    "rate_penalty",
    "save_cut",
    "save_tree",
    "synops_penalty",
    "unfuse",
    "unhoist",
    "widen",
]
