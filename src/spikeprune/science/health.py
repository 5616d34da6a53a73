"""Whether a net works at all: live weights, neurons that fire, accuracy above chance."""

import math
from collections.abc import Mapping, Sequence

import torch

LEVEL = 0.01
"""Largest p-value at which accuracy counts as above chance."""
_SHOWN = 6  # names in a sentence


def chance(asked: Sequence[int]) -> float:
    """Return the accuracy that needs no input: `max(1 / K, share of the largest class)`.

    Args:
        asked: evaluated samples of each of the K classes; their sum is at least 1.

    Returns:
        The accuracy in (0, 1] of the better of two answers: a class drawn at random, and always
        the largest class. A net whose output does not depend on its input reaches no more, but
        for luck.
    """
    return max(1 / len(asked), max(asked) / sum(asked))


def p_of_chance(right: int, samples: int, chance: float) -> float:
    """Return the one-sided p-value of the exact binomial test that accuracy is above chance.

    `P(X >= right)` for X ~ Binomial(`samples`, `chance`), in [0, 1]; `chance` in (0, 1]. It holds
    for independent samples (Clopper and Pearson 1934).
    """
    if right <= 0 or chance >= 1:
        return 1.0
    k = torch.arange(right, samples + 1, dtype=torch.float64)
    ways = math.lgamma(samples + 1) - torch.lgamma(k + 1) - torch.lgamma(samples - k + 1)
    logs = ways + k * math.log(chance) + (samples - k) * math.log1p(-chance)
    return min(1.0, float(logs.logsumexp(0).exp()))


def warnings_of(
    *,
    live: Mapping[str, int],
    silent: Mapping[str, float],
    right: Sequence[int] = (),
    asked: Sequence[int] = (),
) -> tuple[str, ...]:
    """Return a sentence for each sign that a net, or a part of it, is dead; empty without any.

    The signs: a layer without a live weight; a layer of neurons none of which ever fires; an
    accuracy that cannot be told from chance, where `p_of_chance` exceeds `LEVEL`.

    Args:
        live: number of live weights by layer.
        silent: share of the neurons that never fire on the data, in [0, 1], by layer of neurons.
        right: right answers by class `[K]`; empty if accuracy was not measured.
        asked: samples by class `[K]`.
    """
    found = []
    if dead := [name for name, count in live.items() if count == 0]:
        found.append(f"no live weight is left in {_listed(dead)}: nothing passes these layers")
    if mute := [name for name, share in silent.items() if share == 1]:
        found.append(
            f"no neuron of {_listed(mute)} fires on the data: nothing passes these neurons"
        )
    samples, hits = sum(asked), sum(right)
    if samples:
        level = chance(asked)
        p = p_of_chance(hits, samples, level)
        if p > LEVEL:
            found.append(
                f"accuracy is at chance: {hits:,} of {samples:,} answers are right "
                f"({100 * hits / samples:.2f} %), and answers without looking reach "
                f"{100 * level:.2f} % (exact binomial test: p {p:.2g}, above {LEVEL:g})"
            )
    return tuple(found)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
