"""The rows of a run folder: `history.jsonl` and `metrics.json` as the report reads them.

Every key may be absent: runs of older versions, and runs without some part, did not write it.
Keys, units and meanings are those of docs/run-folder.md.
"""

from typing import Any, TypedDict


class EpochRow(TypedDict, total=False):
    """An epoch of `history.jsonl`."""

    stage: str
    epoch: int
    loss: float | None
    validation_accuracy: float | None
    density: float | None


class EventRow(TypedDict, total=False):
    """A pruning event; `epoch` counts from the start of training, with fractions."""

    epoch: float
    density: float
    regrown: int
    dropped_and_returned: int
    dead_and_returned: int
    survival: float | None
    layers: dict[str, dict[str, Any]]  # live, total, regrown and survived, by layer


class LayerMetrics(TypedDict, total=False):
    """Measurements of one layer."""

    name: str
    shape: list[int]
    density: float | None
    firing_rate: float | None
    synops: float | None
    operand: str
    value_weighted_acs: float | None
    dead_channels: int | None


class NetMetrics(TypedDict, total=False):
    """Measurements of the dense or the pruned net."""

    test_accuracy: float | None
    per_class_accuracy: list[float | None]
    parameters: int
    nonzero_parameters: int
    density: float | None
    effective_macs_per_sample: float | None
    effective_acs_per_sample: float | None
    synops_per_sample: float | None
    energy_nj_per_sample: float | None
    firing_rate: float | None
    latency_ms: dict[str, float]
    latency_threads: int
    first_layer_macs_per_sample: dict[str, float | None]
    layers: list[LayerMetrics]
    notes: list[str]


class RunMetrics(TypedDict, total=False):
    """Content of `metrics.json`."""

    schema: int
    spikeprune: str
    method: str
    granularity: str
    start: str
    command: str
    data: dict[str, Any]
    model: dict[str, Any]
    time_steps: int
    seed: int
    device: str
    threads: int
    processes: int
    precision: str
    compiled: bool
    versions: dict[str, str]
    identity: dict[str, Any] | None
    target: dict[str, Any]
    static_first_layer: bool | None
    dense: NetMetrics
    pruned: NetMetrics
    event_driven: dict[str, Any] | None
    cost: dict[str, Any]
    regrowth: dict[str, Any]
    criticality: dict[str, list[float]]
    cut: dict[str, Any]
    notes: list[str]
