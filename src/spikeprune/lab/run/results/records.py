"""The JSON records of a run, as types. Their keys are explained in `docs/run-folder.md`."""

from typing import Any, TypedDict

Measured = dict[str, Any]
"""Measurements of one net: the fields of `measuring.metrics.Metrics`, as JSON has them."""


class DenseCost(TypedDict):
    """Cost of the dense net."""

    total_epochs: int
    flops: float
    flops_sparse: float
    seconds: float


class DenseMetrics(TypedDict):
    """`dense/metrics.json`."""

    metrics: Measured
    cost: DenseCost


class EventDriven(TypedDict):
    """Latency of the pruned net with event-driven layers, and how many layers run in which way."""

    latency_ms: dict[str, float]
    latency_threads: int
    layers: dict[str, int]


class Remeasured(TypedDict):
    """Output of `spikeprune evaluate`."""

    folder: str
    data: str
    dense: Measured
    pruned: Measured
    event_driven: EventDriven | None
    notes: list[str]


class RunMetrics(TypedDict):
    """`metrics.json`."""

    schema: int
    spikeprune: str
    method: str
    granularity: str
    command: str
    data: dict[str, Any]
    model: dict[str, Any]
    start: str | None
    time_steps: int
    seed: int
    device: str
    threads: int
    processes: int
    precision: str
    compiled: bool
    versions: dict[str, str]
    target: dict[str, Any]
    static_first_layer: bool
    dense: Measured
    pruned: Measured
    event_driven: EventDriven | None
    cost: dict[str, Any]
    regrowth: dict[str, Any]
    criticality: dict[str, list[float]]
    cut: dict[str, Any]
    notes: list[str]
