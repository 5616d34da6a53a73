"""Where to look next for the largest sparsity that is good enough: bracket, then bisect."""

import math
from collections.abc import Mapping

LOWEST, HIGHEST = 0.01, 0.999
"""Between these sparsities the search stays."""

_STEP = math.log(3)  # of the odds s / (1 - s): at high sparsity, a third of the density
_NARROW = 0.05  # of the odds' logarithm: at high sparsity, 5 % of the density


def propose(tried: Mapping[float, bool], first: float) -> float | None:
    """Return the sparsity to try next.

    On the scale log(s / (1 - s)), which at high sparsity is that of -log(density): steps that
    double, up or down from `first`, until one sparsity is good enough and one is not; then their
    middle. What was good enough is always below what was not, so noise can mislead the search,
    but not into going back and forth.

    Args:
        tried: whether it was good enough, by sparsity.
        first: where to begin.

    Returns:
        In [LOWEST, HIGHEST], to four digits, not in `tried`; None when there is nothing left to
        learn: the bracket is narrow, or an end is reached.
    """
    if not tried:
        return _within(first)
    low = max((s for s, good in tried.items() if good), default=None)
    high = min((s for s, good in tried.items() if not good), default=None)
    step = _STEP * 2 ** (len(tried) - 1)
    if high is None:
        assert low is not None
        found = _sparsity(_logit(low) + step)
    elif low is None:
        found = _sparsity(_logit(high) - step)
    elif _logit(high) - _logit(low) < _NARROW:
        return None
    else:
        found = _sparsity((_logit(low) + _logit(high)) / 2)
    return None if found in tried else found


def _logit(sparsity: float) -> float:
    return math.log(sparsity / (1 - sparsity))


def _sparsity(logit: float) -> float:
    return _within(1 / (1 + math.exp(-logit)))


def _within(sparsity: float) -> float:
    return round(min(HIGHEST, max(LOWEST, sparsity)), 4)
