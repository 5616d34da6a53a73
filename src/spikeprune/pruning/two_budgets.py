"""Two budgets at once: the mix of two costs at which one ranking of score per cost spends both."""

from collections.abc import Callable

from spikeprune.pruning.selection import Selection

_HALVINGS = 40
_CLOSE = 1e-3
"""Share of a budget that an event before the last may leave unused."""


def spend_both(fitted: Callable[[float], Selection], *, exact: bool = True) -> Selection:
    """Return the selection that spends both budgets, or one of them where the other is free.

    A weight is kept if its score is above `lambda_1 cost_1 + lambda_2 cost_2`. For a given ratio of
    the two thresholds that is one ranking of score per mixed cost, cut where the first budget is
    spent; the ratio is found by halving, because a budget is spent less the more its cost counts.

    Args:
        fitted: takes the share of the second cost in the mix, in [0, 1], and returns what the
            ranking chooses within both budgets.
        exact: whether the gaps to both budgets are as small as single weights allow; else it stops
            within a thousandth.

    Source: method, section 9.2; Meng et al., 2024 (FALCON, arXiv:2403.07094).
    """
    best = fitted(0.0)
    first, second = _used(best)
    if first >= second:  # the second budget is free
        return best
    left, low, high, middle = first, 0.0, 1.0, 1.0
    for _ in range(_HALVINGS):
        found = fitted(middle)
        first, second = _used(found)
        if middle == 1 and second >= first:  # the first one is
            return found
        if min(first, second) > left:
            best, left = found, min(first, second)
        if not exact and left > 1 - _CLOSE:
            break
        low, high = (low, middle) if first >= second else (middle, high)
        middle = (low + high) / 2
    return best


def _used(selection: Selection) -> tuple[float, float]:
    """Return the used shares of both budgets."""
    first, second = selection.uses
    return first.used, second.used
