"""Iterative magnitude pruning: how many rounds, and how many epochs each of them trains.

A round trains to the end of its learning-rate schedule, drops the same share of the living weights
and rewinds the others to what they were after the first `rewind` epochs; a last training follows.
With R drops to density d, `d_j = d^(j/R)`, so that the last is exactly the target.

Kim et al. drop 25 % of the living weights in a round and name the rounds by the zeros among *all*
parameters of VGG-16, biases and norms included: 25.04, 43.71, 57.76, ... 98.13 %. The first has the
biases that are still 0 in it. Each of these sparsities takes as many rounds here as there.
"""

import math
from dataclasses import dataclass

from spikeprune.errors import ConfigError
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.method_choice import resolve

_SLACK = 0.01
"""Part of a round that is not worth another one: 25.04 % drop in a single round of 25 %."""
_EARLY = 15
"""The weights after a fifteenth of a training are rewound to: Kim et al. take 20 epochs of 300."""


@dataclass(frozen=True)
class Rounds:
    """The trainings of a run; between two of them weights are dropped and rewound."""

    epochs: tuple[int, ...]  # of each training, one more than there are drops
    rewind: int  # epochs after which the first keeps its weights, and that the others leave out

    @property
    def drops(self) -> int:
        """How often weights are dropped."""
        return len(self.epochs) - 1

    @property
    def pruning(self) -> int:
        """Epochs before the last drop."""
        return sum(self.epochs[:-1])

    @property
    def total(self) -> int:
        """Epochs of all trainings."""
        return sum(self.epochs)

    def event_steps(self, steps_per_epoch: int) -> tuple[int, ...]:
        """Return the optimiser steps after which weights are dropped."""
        ends = [sum(self.epochs[: k + 1]) for k in range(self.drops)]
        return tuple(end * steps_per_epoch for end in ends)


def epochs_of(config: RunConfig) -> tuple[int, int]:
    """Return the epochs before the final density is reached, and all epochs, of the pruned net."""
    method = resolve(config)
    if method.rewinds:
        rounds = rounds_of(config)
        return rounds.pruning, rounds.total
    at_start = method.parts.get("schedule") == "at-start"
    return 0 if at_start else config.epochs.prune, config.epochs.total


def rounds_of(config: RunConfig) -> Rounds:
    """Divide a run's epochs into rounds; the budget is `epochs.prune + epochs.finetune`."""
    imp, budget = config.imp, config.epochs.total
    drops = _drops(config)
    rewind = imp.rewind
    if imp.budget == "own":  # each training takes the budget, less the epochs rewound to
        rewind = budget // _EARLY if rewind is None else rewind
        first, rest = budget, 0
    else:  # all together take it, the last with the remainder
        if rewind is None:
            rewind = int(budget / (1 + drops * (1 - 1 / _EARLY)) / _EARLY)
        first, rest = divmod(budget + drops * rewind, drops + 1)
    later = first - rewind
    if later < 1:
        raise ConfigError(
            f"{drops} rounds that drop and the training after the last make {drops + 1} trainings, "
            f"of which {budget} epochs leave {first} for each, {rewind} of them rewound to; "
            "raise epochs.prune, lower imp.rounds or imp.rewind, raise imp.share, or set "
            "imp.budget own"
        )
    return Rounds((first, *[later] * (drops - 1), later + rest), rewind)


def _drops(config: RunConfig) -> int:
    imp = config.imp
    assert config.sparsity is not None
    if imp.rounds is not None:
        return imp.rounds
    needed = math.log(1 - config.sparsity) / math.log(1 - imp.share)
    return max(1, math.ceil(needed - _SLACK))
