"""Neurons that call their spike function in training mode only, made to call it in eval mode.

Some frameworks run a faster body in eval mode, which has no spike function. Such a neuron is
observed there by running it, and nothing else, as in training.
"""

from collections.abc import Collection, Mapping

import torch

from spikeprune.adapters.spike_functions.watch import Place
from spikeprune.wiring.trace_log import CallLog


def modules_to_switch(
    log: CallLog, x: object, places: Collection[Place]
) -> Mapping[Place, tuple[str, ...]]:
    """Return by place the modules that run as in training to call the spike function in eval mode.

    That is the module that calls it or, where the one around it chooses (a neuron with a module for
    its surrogate), both. What layers read and the net answers must stay as it is: some neurons give
    more than spikes in training. Empty: there is no such choice.
    """
    modules = dict(log.model.named_modules())
    expected, _ = log.in_eval(x, ())
    for around in (False, True):
        chosen = {place: _modules(place.module, around=around) for place in places}
        names = {name for found in chosen.values() for name in found}
        if not names or not names <= modules.keys() - {""}:
            continue
        found, called = log.in_eval(x, names)
        same = len(found) == len(expected) and all(
            a.shape == b.shape and torch.allclose(a, b)
            for a, b in zip(found, expected, strict=True)
        )
        if same and called >= set(places):
            return chosen
    return {}


def _modules(name: str, *, around: bool) -> tuple[str, ...]:
    outer = name.rpartition(".")[0]
    return (name, outer) if around and outer else (name,)
