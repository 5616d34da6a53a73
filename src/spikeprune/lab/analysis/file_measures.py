"""Measures from the files of a run alone: regrowth by layer, classes, synaptic operations."""

from collections import Counter
from collections.abc import Mapping

from spikeprune.lab.analysis.findings import Findings
from spikeprune.lab.report.run_record import RunRecord
from spikeprune.lab.report.run_rows import LayerMetrics


def regrowth(record: RunRecord) -> Findings | None:
    """Return how all regrowth is spread over the layers, and how much survived; None without any.

    Depth runs over the layers that regrowth can reach, from 0 (nearest the image) to 1. Survival
    is taken over the events that another event followed.
    """
    total, regrown, survived, tested = _sums_by_layer(record)
    all_regrown = sum(regrown.values())
    if not all_regrown:
        return None
    # Regrowth reaches the layers that feed neurons, so not the classifier.
    feeding = {n for n, row in record.layers("dense").items() if row.get("firing_rate") is not None}
    reached = [name for name, count in regrown.items() if name in feeding or count] or list(regrown)
    all_reached = sum(total[name] for name in reached)
    rows: list[Findings] = []
    for number, name in enumerate(reached):
        share, of_regrown = total[name] / all_reached, regrown[name] / all_regrown
        row = {
            "layer": name,
            "depth": number / max(len(reached) - 1, 1),
            "share_of_all": share,
            "share_of_regrown": of_regrown,
            "times_its_share": of_regrown / share,
            "regrown": regrown[name],
            "survival": survived[name] / tested[name] if tested[name] else None,
        }
        rows.append(row)
    first = rows[: len(rows) // 2]
    return {
        "unit": record.unit,
        "events": len(record.events),
        "regrown": all_regrown,
        "survival_mean": (record.metrics.get("regrowth") or {}).get("survival_mean"),
        "first_half": {
            "layers": len(first),
            "share_of_all": sum(row["share_of_all"] for row in first),
            "share_of_regrown": sum(row["share_of_regrown"] for row in first),
        },
        "layers": rows,
    }


def _sums_by_layer(record: RunRecord) -> tuple[dict[str, int], ...]:
    """Return by layer its size, and how many were regrown, survived, and had a next event."""
    total: dict[str, int] = {}
    regrown, survived, tested = Counter[str](), Counter[str](), Counter[str]()
    for event in record.events:
        for name, row in (event.get("layers") or {}).items():
            total[name] = row["total"]
            regrown[name] += row["regrown"]
            if (back := row.get("survived")) is not None:
                survived[name] += back
                tested[name] += row["regrown"]
    return total, regrown, survived, tested


def class_rows(
    classes: list[str], before: list[float | None], after: list[float | None]
) -> list[Findings]:
    """Return the accuracy of every class in two nets, in [0, 1], and its change in points."""
    return [
        {
            "class": name,
            "before_accuracy": one,
            "after_accuracy": two,
            "change_in_points": None if one is None or two is None else 100 * (two - one),
        }
        for name, one, two in zip(classes, before, after, strict=True)
    ]


def synops_rows(
    before: Mapping[str, LayerMetrics], after: Mapping[str, LayerMetrics]
) -> list[Findings]:
    """Return the synaptic operations per sample of every layer in two nets, and their ratio."""
    rows = []
    for name in {**before, **after}:
        one, two = (net.get(name, LayerMetrics()).get("synops") for net in (before, after))
        ratio = two / one if one and two is not None else None
        rows.append({"layer": name, "before": one, "after": two, "ratio": ratio})
    return rows
