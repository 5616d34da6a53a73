"""Prune spiking neural networks, bring back what is critical, hand over a smaller net.

A name is imported when it is first used: torch takes seconds, and the command line must answer an
interrupt before.
"""

from spikeprune._version import __version__ as __version__

TYPE_CHECKING = False  # typing takes a while to import, too
if TYPE_CHECKING:
    from spikeprune.cutting.compact import Cut, compact, cut
    from spikeprune.errors import SpikePruneError
    from spikeprune.inference.event_driven import event_driven
    from spikeprune.inference.saved_net import load
    from spikeprune.measuring.evaluate import evaluate
    from spikeprune.measuring.metrics import Metrics
    from spikeprune.observing.criticality_options import CriticalityOptions
    from spikeprune.observing.observer import Observer, score_loader
    from spikeprune.pruning.option_types import ChannelOptions
    from spikeprune.pruning.options import PruneOptions
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

_MODULES = {
    "ChannelOptions": "pruning.option_types",
    "CriticalityOptions": "observing.criticality_options",
    "Cut": "cutting.compact",
    "Metrics": "measuring.metrics",
    "Observer": "observing.observer",
    "PruneOptions": "pruning.options",
    "Pruner": "pruning.pruner",
    "SpikePruneError": "errors",
    "compact": "cutting.compact",
    "cut": "cutting.compact",
    "evaluate": "measuring.evaluate",
    "event_driven": "inference.event_driven",
    "load": "inference.saved_net",
    "score_loader": "observing.observer",
    "trace": "wiring.trace",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
