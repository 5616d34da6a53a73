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
    train_accuracy: float | None
    validation_accuracy: float | None
    test_accuracy: float | None
    density: float | None


class LayerCounts(TypedDict, total=False):
    """Weights or channels of one layer at an event."""

    live: int
    total: int
    regrown: int
    survived: int | None


class EventRow(TypedDict, total=False):
    """A pruning event; `epoch` counts from the start of training, with fractions."""

    epoch: float
    density: float
    regrown: int
    dropped_and_returned: int
    dead_and_returned: int
    survival: float | None
    layers: dict[str, LayerCounts]


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


class DataFacts(TypedDict, total=False):
    """The data of a run; `samples` by part."""

    name: str
    label: str
    classes: list[str]
    shape: list[int]
    kind: str
    samples: dict[str, int]


class Regrowth(TypedDict, total=False):
    """The events of a run, and the mean of their survivals."""

    events: list[EventRow]
    survival_mean: float | None


class CutFacts(TypedDict, total=False):
    """Channels by layer before and after the dead ones were cut out."""

    channels_before: dict[str, int]
    channels_after: dict[str, int]
    kept_though_inputs_dead: list[str]
    masked_vs_cut_max_abs_diff: float | None


class RunMetrics(TypedDict, total=False):
    """Content of `metrics.json`."""

    schema: int
    spikeprune: str
    method: str
    granularity: str
    start: str
    command: str
    data: DataFacts
    model: dict[str, Any]
    time_steps: int
    seed: int
    device: str
    threads: int
    processes: int
    compiled: bool
    precision: str
    versions: dict[str, str]
    target: dict[str, Any]
    static_first_layer: bool | None
    dense: NetMetrics
    pruned: NetMetrics
    event_driven: dict[str, Any] | None
    cost: dict[str, Any]
    regrowth: Regrowth
    criticality: dict[str, list[float]]
    cut: CutFacts
    notes: list[str]
