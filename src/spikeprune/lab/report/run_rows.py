"""The rows of a run folder: `history.jsonl` and `metrics.json` as they are read.

Every key may be absent: runs of older versions, and runs without some part, did not write it.
Keys, units and meanings are those of docs/run-folder.md. Files are checked against these types.
"""

from typing import Annotated, Any, Required, TypedDict

from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
"""A fraction in [0, 1]."""
Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0)]


class HistoryRow(TypedDict, total=False):
    """A line of `history.jsonl`: what epochs and events have in common."""

    kind: Required[str]  # `epoch` or `event`; others are left out
    stage: str
    epoch: Amount


class EpochRow(HistoryRow, total=False):
    """An epoch of `history.jsonl`."""

    loss: float | None
    validation_accuracy: Share | None
    train_accuracy: Share | None
    test_accuracy: Share | None
    density: Share | None


class LayerEvent(TypedDict, total=False):
    """What an event did to one layer."""

    live: Count
    total: Count
    regrown: Count
    survived: Count | None


class EventRow(TypedDict, total=False):
    """A pruning event; `epoch` counts from the start of training, with fractions."""

    stage: str
    epoch: Amount
    step: Count
    density: Share
    live: Count
    kept: Count
    regrown: Count
    dropped_and_returned: Count
    dead_and_returned: Count
    survival: Share | None
    layers: dict[str, LayerEvent]


class LayerMetrics(TypedDict, total=False):
    """Measurements of one layer."""

    name: str
    shape: list[int]
    density: Share | None
    firing_rate: Amount | None
    synops: Amount | None
    operand: str
    value_weighted_acs: Amount | None
    dead_channels: Count | None
    silent_neurons: Share | None


class NetMetrics(TypedDict, total=False):
    """Measurements of the dense or the pruned net."""

    test_accuracy: Share | None
    validation_accuracy: Share | None
    per_class_accuracy: list[Share | None]
    parameters: Count
    nonzero_parameters: Count
    density: Share | None
    dense_macs_per_sample: Amount | None
    effective_macs_per_sample: Amount | None
    effective_acs_per_sample: Amount | None
    synops_per_sample: Amount | None
    validation_synops_per_sample: Amount | None
    energy_nj_per_sample: Amount | None
    firing_rate: Amount | None
    latency_ms: dict[str, float] | None
    latency_threads: Count | None
    first_layer_macs_per_sample: dict[str, float | None] | None
    layers: list[LayerMetrics]
    products: list[dict[str, Any]]
    silent_neurons: Share | None
    notes: list[str]
    warnings: list[str]


class DataFacts(TypedDict, total=False):
    """The data of a run."""

    name: str
    label: str
    classes: list[str]
    shape: list[int]
    kind: str
    samples: dict[str, Count]


class ModelFacts(TypedDict, total=False):
    """Name and arguments of the net of a run."""

    name: str
    arguments: dict[str, Any]


class Target(TypedDict, total=False):
    """The target of a run."""

    sparsity: Share | None
    budget: str


class RunCost(TypedDict, total=False):
    """The cost of a run."""

    pruning_epochs: Count
    total_epochs: Count
    training_flops: Amount
    training_flops_sparse: Amount
    teacher_flops: Amount
    wall_seconds: Amount | None
    peak_rss_bytes: Count | None
    dense: dict[str, Any]


class Regrowth(TypedDict, total=False):
    """The events of a run."""

    events: list[EventRow]
    survival_mean: Share | None


class EventDriven(TypedDict, total=False):
    """The pruned net in the event-driven form."""

    latency_ms: dict[str, float]
    latency_threads: Count
    layers: dict[str, Count]


class CutFacts(TypedDict, total=False):
    """The cut of a run."""

    channels_before: dict[str, Count]
    channels_after: dict[str, Count]
    kept_though_inputs_dead: list[dict[str, Any]]
    masked_vs_cut_max_abs_diff: Amount | None


class RunMetrics(TypedDict, total=False):
    """Content of `metrics.json`."""

    schema: int
    spikeprune: str
    method: str
    granularity: str
    start: str
    command: str
    data: DataFacts
    model: ModelFacts
    time_steps: Count
    seed: int
    device: str
    threads: Count
    processes: Count
    precision: str
    compiled: bool
    versions: dict[str, str]
    identity: dict[str, Any] | None
    target: Target | None
    static_first_layer: bool | None
    checksums: str
    dense: NetMetrics
    pruned: NetMetrics
    event_driven: EventDriven | None
    cost: RunCost | None
    regrowth: Regrowth | None
    criticality: dict[str, list[float]] | None
    cut: CutFacts | None
    notes: list[str]
