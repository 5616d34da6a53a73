"""What the files of a run tell without running a net: where regrowth went, classes, operations."""

from collections.abc import Mapping
from typing import Any

from spikeprune.lab.report.run_record import Row, RunRecord


def regrowth(record: RunRecord) -> Row | None:
    """Return where the regrowth of all events together went, and what became of it.

    Depth runs over the layers that regrowth may reach, from 0 (nearest the image) to 1. `survived`
    counts over the events after which another one came: `of` is how many those brought back.

    Returns:
        None if nothing was brought back.
    """
    events = [event for event in record.events if event.get("layers")]
    sums: dict[str, Row] = {}
    for event in events:
        for name, row in event["layers"].items():
            into = sums.setdefault(name, {"regrown": 0, "survived": 0, "of": 0})
            into["total"] = row["total"]
            into["regrown"] += row["regrown"]
            if row.get("survived") is not None:
                into["survived"] += row["survived"]
                into["of"] += row["regrown"]
    regrown = sum(row["regrown"] for row in sums.values())
    if not regrown:
        return None
    reached = _reached(record, sums)
    total = sum(sums[name]["total"] for name in reached)
    rows = []
    for number, name in enumerate(reached):
        row, share = sums[name], sums[name]["total"] / total
        rows.append(
            {
                "layer": name,
                "depth": number / max(len(reached) - 1, 1),
                "share_of_all": share,
                "share_of_regrown": row["regrown"] / regrown,
                "times_its_share": row["regrown"] / regrown / share,
                "regrown": row["regrown"],
                "survival": row["survived"] / row["of"] if row["of"] else None,
            }
        )
    return {
        "unit": record.unit,
        "events": len(record.events),
        "regrown": regrown,
        "survival_mean": record.metrics["regrowth"].get("survival_mean"),
        "first_half": _half(rows),
        "layers": rows,
    }


def _reached(record: RunRecord, sums: Mapping[str, Row]) -> list[str]:
    """Return the layers that regrowth may reach: not those that feed no neuron (the classifier)."""
    feeding = {n for n, row in record.layers("dense").items() if row.get("firing_rate") is not None}
    reached = [name for name in sums if name in feeding or sums[name]["regrown"]]
    return reached or list(sums)


def _half(rows: list[Row]) -> Row:
    """Return what the first half of the layers holds, of all and of the regrown."""
    first = rows[: len(rows) // 2]
    shares = {k: sum(row[k] for row in first) for k in ("share_of_all", "share_of_regrown")}
    return {"layers": len(first), **shares}


def class_rows(
    classes: list[str], before: list[float | None], after: list[float | None]
) -> list[Row]:
    """Return the accuracy of every class in two nets and its change, None where one is not known.

    Args:
        classes: names.
        before: accuracy by class, in [0, 1].
        after: likewise, of the other net.
    """
    return [
        {
            "class": name,
            "before_accuracy": one,
            "after_accuracy": two,
            "change_in_points": None if one is None or two is None else 100 * (two - one),
        }
        for name, one, two in zip(classes, before, after, strict=True)
    ]


def synops_rows(before: Mapping[str, Row], after: Mapping[str, Row]) -> list[Row]:
    """Return the synaptic operations per sample of every layer in two nets, and their change."""
    rows = []
    for name in dict.fromkeys([*before, *after]):
        one, two = (side.get(name, {}).get("synops") for side in (before, after))
        row: dict[str, Any] = {"layer": name, "before": one, "after": two, "ratio": None}
        if one and two is not None:
            row["ratio"] = two / one
        rows.append(row)
    return rows
