"""Which rows of a comparison no other one dominates: more accurate and cheaper at once.

Means over the seeds decide alone. Their spread is shown beside them and decides nothing, so a row
may be dominated by a difference that other seeds would turn round.
"""

from collections.abc import Iterable, Sequence

from spikeprune.lab.compare.jobs.grid import Key
from spikeprune.lab.compare.numbers.curves import AXES, Axis
from spikeprune.lab.compare.numbers.rows_and_contrasts import Row

COSTS = tuple(axis for axis in AXES if axis.dense)
"""The axes that are costs: less is better."""

Point = tuple[float, float]
"""Cost and accuracy."""


def dominates(one: Point, other: Point) -> bool:
    """Return whether a point is at least as good in cost and accuracy, and better in one of them.

    Equal points do not dominate each other: of a tie, both stay.
    """
    return one != other and one[0] <= other[0] and one[1] >= other[1]


def not_dominated(points: Sequence[Point], others: Iterable[Point] = ()) -> list[bool]:
    """Return of each point whether none of the points, and none of `others`, dominates it.

    Args:
        points: pairs of cost and accuracy, finite.
        others: points that compete without being asked for.
    """
    rivals = {*points, *others}
    return [not any(dominates(rival, point) for rival in rivals) for point in points]


def front(rows: Iterable[Row], axis: Axis, select: str) -> frozenset[Key]:
    """Return the keys of the rows that are not dominated in accuracy and one cost.

    Rows compete within their setting, and with the dense nets of their own seeds. Rows that prune
    nothing, that lack a value, or that have a dead net take no part.
    """
    points: dict[str, dict[Key, Point]] = {}
    dense: dict[str, list[Point]] = {}
    for row in rows:
        own = _point(row, axis.value, f"{select}_accuracy")
        if row.sparsity is None or row.dead or own is None:
            continue
        points.setdefault(row.setting, {})[row.key] = own
        rival = _point(row, axis.dense, f"dense_{select}_accuracy")
        dense.setdefault(row.setting, []).extend([rival] if rival else [])
    return frozenset(
        key
        for setting, found in points.items()
        for key, stays in zip(
            found, not_dominated(list(found.values()), dense[setting]), strict=True
        )
        if stays
    )


def fronts(rows: Sequence[Row], select: str) -> dict[str, frozenset[Key]]:
    """Return the `front` of every cost, by the key of its axis."""
    return {axis.key: front(rows, axis, select) for axis in COSTS}


def _point(row: Row, cost: str, accuracy: str) -> Point | None:
    x, y = row.summary(cost).mean, row.summary(accuracy).mean
    return None if x is None or y is None else (x, y)
