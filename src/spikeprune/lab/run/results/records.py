"""The JSON records that a run reads again, as types; `docs/run-folder.md` explains their keys."""

from typing import Any, TypedDict

from spikeprune.lab.report.run_rows import Amount, Count

Measured = dict[str, Any]
"""Measurements of one net: the fields of `measuring.metrics.Metrics`, as JSON has them."""


class DenseCost(TypedDict):
    """Cost of the dense net."""

    total_epochs: Count
    flops: Amount
    flops_sparse: Amount
    seconds: Amount


class DenseMetrics(TypedDict):
    """`dense/metrics.json`."""

    metrics: Measured
    cost: DenseCost
