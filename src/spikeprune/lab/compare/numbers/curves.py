"""Accuracy over sparsity and over costs: a curve per method, and the level of the dense nets."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from spikeprune.lab.compare.jobs.grid import Key
from spikeprune.lab.compare.numbers.rows_and_contrasts import Row
from spikeprune.lab.compare.numbers.statistics import summarise


@dataclass(frozen=True)
class Axis:
    """A horizontal axis."""

    key: str  # part of file names
    value: str  # name of the measurement (see `cells.VALUES`)
    scale: float  # factor of the measurement
    title: str  # words under the axis
    words: str  # words of a heading: "accuracy over ..."
    dense: str = ""  # name of the measurement of the dense net, if the axis is a cost


AXES = (
    Axis("sparsity", "sparsity", 100.0, "sparsity, %", "sparsity"),
    Axis("synops", "synops", 1.0, "SynOps per sample", "synaptic operations", "dense_synops"),
    Axis("energy", "energy_nj", 1.0, "energy per sample, nJ (model)", "energy", "dense_energy_nj"),
    Axis("bytes", "bytes", 1 / 1024, "stored parameters as fp32, KiB", "size", "dense_bytes"),
)


@dataclass(frozen=True)
class Point:
    """Means over the n seeds of a row, and standard deviations (0 for one seed)."""

    x: float
    y: float
    x_std: float
    y_std: float
    n: int
    key: Key


@dataclass(frozen=True)
class AccuracyCurve:
    """Accuracy (y, in per cent) of one method over an axis (x, rising): a point per row."""

    method: str
    points: tuple[Point, ...]


def curves(rows: Sequence[Row], axis: Axis, select: str) -> list[AccuracyCurve]:
    """Return a curve per method of one setting, from the rows that prune and have both values."""
    by_method: dict[str, list[Point]] = {}
    for row in rows:
        x, y = row.summary(axis.value), row.summary(f"{select}_accuracy").in_percent
        if row.sparsity is None or x.mean is None or y.mean is None:
            continue
        x_std, y_std = axis.scale * (x.std or 0.0), y.std or 0.0
        point = Point(axis.scale * x.mean, y.mean, x_std, y_std, n=y.n, key=row.key)
        by_method.setdefault(row.method, []).append(point)
    ordered = {name: sorted(points, key=lambda p: p.x) for name, points in by_method.items()}
    return [AccuracyCurve(method, tuple(points)) for method, points in ordered.items()]


def dense_level(rows: Sequence[Row], select: str) -> float | None:
    """Return the mean accuracy of the dense nets over the seeds, in per cent; None if unknown."""
    by_seed = {
        cell.seed: value
        for row in rows
        for cell in row.cells
        if (value := cell.values[f"dense_{select}_accuracy"]) is not None
    }
    return summarise(list(by_seed.values())).in_percent.mean


def marked(curves: Sequence[AccuracyCurve], keys: Collection[Key]) -> list[tuple[str, Point]]:
    """Return the points of these rows with their methods, by rising x."""
    found = [(one.method, p) for one in curves for p in one.points if p.key in keys]
    return sorted(found, key=lambda pair: pair[1].x)
