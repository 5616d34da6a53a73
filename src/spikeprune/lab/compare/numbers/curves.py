"""What the figures of a comparison draw: a curve per method, and the level of the dense nets."""

from collections.abc import Sequence
from dataclasses import dataclass

from spikeprune.lab.compare.numbers.rows_and_contrasts import Row
from spikeprune.lab.compare.numbers.statistics import summarise


@dataclass(frozen=True)
class Axis:
    """What accuracy is drawn over: a value, its scale and its words."""

    key: str
    value: str
    scale: float
    title: str


AXES = (
    Axis("sparsity", "sparsity", 100.0, "sparsity, %"),
    Axis("synops", "synops", 1.0, "SynOps per sample"),
)


@dataclass(frozen=True)
class Point:
    """One sparsity of a method: means over n seeds, standard deviations (0 for one seed)."""

    x: float
    y: float
    x_std: float
    y_std: float
    n: int


@dataclass(frozen=True)
class Curve:
    """A method's points, by rising x; y is accuracy in per cent."""

    method: str
    points: tuple[Point, ...]


def curves(rows: Sequence[Row], axis: Axis, select: str) -> list[Curve]:
    """Return a curve per method of one setting; rows without the numbers are left out."""
    by_method: dict[str, list[Point]] = {}
    for row in rows:
        x, y = row.of(axis.value), row.of(f"{select}_accuracy")
        if row.sparsity is None or x.mean is None or y.mean is None:
            continue
        point = Point(
            *(axis.scale * x.mean, 100 * y.mean),
            *(axis.scale * (x.std or 0.0), 100 * (y.std or 0.0)),
            y.n,
        )
        by_method.setdefault(row.method, []).append(point)
    return [
        Curve(method, tuple(sorted(points, key=lambda point: point.x)))
        for method, points in by_method.items()
    ]


def dense_level(rows: Sequence[Row], select: str) -> float | None:
    """Return the mean accuracy of the dense nets in per cent, each seed once, if it is known."""
    by_seed = {
        cell.seed: value
        for row in rows
        for cell in row.cells
        if (value := cell.values[f"dense_{select}_accuracy"]) is not None
    }
    mean = summarise(list(by_seed.values())).mean
    return None if mean is None else 100 * mean
