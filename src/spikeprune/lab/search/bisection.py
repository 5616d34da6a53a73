"""The next sparsity of a search: bracket the largest one that is good enough, then bisect."""

import math
from collections.abc import Mapping

LOWEST, HIGHEST = 0.01, 0.999  # limits of the sparsities that are tried
_STEP = math.log(3)  # first step of log(s / (1 - s)); at high sparsity, a third of the density
_NARROW = 0.05  # narrowest bracket of log(s / (1 - s)); at high sparsity, 5 % of the density


def propose(tried: Mapping[float, bool], first: float) -> float | None:
    """Return the next sparsity (four digits); None if the bracket is narrow or a limit is reached.

    The scale is log(s / (1 - s)), at high sparsity -log(density). Steps from `first` double, up or
    down, until one sparsity is good enough and one is not; then their middle is tried. Sparsities
    that are good enough always lie below those that are not, so noise cannot make the search go
    back and forth. `tried` says of each sparsity whether it is good enough.
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
